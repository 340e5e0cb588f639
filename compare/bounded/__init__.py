"""Networks with kernels of bounded width: pooling, three layers, local minima, sparsity in wavelets."""
