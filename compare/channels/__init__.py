"""Multi-channel CNNs: R_{K,C} and the network's own limit, and the search for where few channels cost more."""
