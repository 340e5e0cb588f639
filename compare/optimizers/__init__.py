"""The second axis: architecture and optimizer together, their norm, and how far a run is from its optimum."""
