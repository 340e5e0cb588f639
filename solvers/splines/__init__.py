"""What wide ReLU networks of one input learn: initial distributions, the weights ζ they induce, and the splines."""
