"""Files, names of a run's files, optional dependencies, lazy imports."""
