"""Data sets, from files or a formula to batches."""
