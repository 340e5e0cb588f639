"""Experiments whose explicit road is a max margin: networks beside their induced regularizers."""
