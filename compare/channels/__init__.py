"""Experiments on multi-channel CNNs: R_{K,C} beside the network, and the hunt for where few channels cost more."""
