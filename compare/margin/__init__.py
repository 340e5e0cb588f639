"""Experiments whose explicit problem is a max margin: networks and their induced regularizers."""
