"""The optimizers: what they make of a gradient, and the norm of the weights in which each is steepest descent."""
