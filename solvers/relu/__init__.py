"""Two-layer ReLU networks without bias: the network of least norm, and whether a given one is it."""
