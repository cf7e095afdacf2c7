"""Reproduces a paper: runs its studies, writes tables and figures, and compares with published numbers."""

from tandem.paper.command import main

__all__ = ["main"]
