"""The networks of the theorems: torch modules that say their predictor and their regularizer."""
