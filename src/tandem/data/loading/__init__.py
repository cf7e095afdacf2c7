"""Serves the rows of a split in batches."""
