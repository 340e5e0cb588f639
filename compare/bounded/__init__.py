"""Networks with kernels of bounded width: average pooling, three layers, local minima, sparsity in wavelets."""
