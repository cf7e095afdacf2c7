"""Data sets: read from files or drawn from a formula, split, and served in batches."""
