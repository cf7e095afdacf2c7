"""Evaluates a finished run on one split: metrics with intervals, one row per image, masks and a report."""

from tandem.evaluate.command import main

__all__ = ["main"]
