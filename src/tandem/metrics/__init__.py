"""Metrics whose counts are kept over a whole split and divided once."""

from tandem.metrics.dice_sweep import DiceSweep
from tandem.metrics.retrieval import MeanAveragePrecisionAtR, PrecisionAt1
from tandem.metrics.sweep_result import Aggregate, SweepResult

__all__ = ["Aggregate", "DiceSweep", "MeanAveragePrecisionAtR", "PrecisionAt1", "SweepResult"]
