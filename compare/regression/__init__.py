"""Regression on linear networks: where the squared loss ends, at every initial scale, and what is predicted of it."""
