"""Two-layer ReLU networks: how often gradient flow ends at the network of least norm, and how far above it else."""
