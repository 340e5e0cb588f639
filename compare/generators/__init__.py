"""Experiments on convolutional generators: fitting speed, denoising, recovery."""
