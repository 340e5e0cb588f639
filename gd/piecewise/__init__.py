"""Torch modules as piecewise smooth functions of their weights: traced, with every kink seen, and differentiated."""
