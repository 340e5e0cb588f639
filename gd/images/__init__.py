"""Convolutional generators, and how they are fitted to images."""
