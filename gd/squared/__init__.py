"""Gradient flow of the squared loss, in function space, with and without weight decay."""
