"""Trained runs on pictures that nobody has labelled: as a command on a folder, and as a function."""

from tandem.predict.command import main

__all__ = ["main"]
