"""Spectral factorization: one filter with the autocorrelation of many."""
