"""Explains a loss before training: curves for one pixel, and shares of the gradient on real masks."""

from tandem.explain_loss.command import main

__all__ = ["main"]
