"""The wide ReLU network beside its spline."""
