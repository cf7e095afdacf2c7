"""The command `export`: writes a run to one file that runs without tandem."""

from tandem.export.command import export_run, main

__all__ = ["export_run", "main"]
