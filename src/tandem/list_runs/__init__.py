"""Lists the runs below a folder, compares two of them, and removes those that failed."""

from tandem.list_runs.command import main

__all__ = ["main"]
