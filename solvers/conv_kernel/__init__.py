"""R_{K,C}, the induced regularizer of two-layer CNNs: its value, its max margin, and the factorization behind both."""
