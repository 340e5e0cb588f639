"""What convolutional generators do: the dual kernel, early stopping as a filter, recovery from few measurements."""
