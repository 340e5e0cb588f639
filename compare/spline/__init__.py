"""The wide ReLU network and its spline."""
