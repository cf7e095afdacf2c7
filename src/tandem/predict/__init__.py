"""Prediction of unlabelled images with trained runs: the command `predict` on a folder, and a function."""

from tandem.predict.command import main

__all__ = ["main"]
