"""A finished run on one of its splits: every number with its interval, a row an image, masks, and a page."""

from tandem.evaluate.command import main

__all__ = ["main"]
