"""Utilities: files, names of a run's files, optional dependencies, lazy imports."""
