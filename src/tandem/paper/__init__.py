"""A paper: its studies run, its tables and figures made, its published numbers judged, by one command."""

from tandem.paper.command import main

__all__ = ["main"]
