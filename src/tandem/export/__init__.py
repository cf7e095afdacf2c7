"""A run as one file that answers without tandem."""

from tandem.export.command import export_run, main

__all__ = ["export_run", "main"]
