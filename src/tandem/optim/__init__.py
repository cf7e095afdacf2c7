"""Parameter groups of the optimiser."""
