"""Metrics whose counts are kept over a whole split and divided once."""

from tandem.metrics.answers import AnswerAUROC, AnswerAveragePrecision
from tandem.metrics.bins import BinnedAUROC, BinnedAveragePrecision
from tandem.metrics.calibration import BinnedCalibrationError, BrierScore
from tandem.metrics.classes import ClassAUROC, ClassAveragePrecision, ClassScore
from tandem.metrics.dice_sweep import DiceSweep, logit_thresholds
from tandem.metrics.lesions import AreaError, LesionDetection
from tandem.metrics.masks import MaskMetric
from tandem.metrics.objective import Aggregate, Objective
from tandem.metrics.retrieval import MeanAveragePrecisionAtR, PrecisionAt1
from tandem.metrics.surface import HausdorffDistance95, SurfaceDice
from tandem.metrics.sweep_result import Curve, SweepResult
from tandem.metrics.uncertainty import Interval, Nested, bootstrap, nested

__all__ = [
    "Aggregate",
    "AnswerAUROC",
    "AnswerAveragePrecision",
    "AreaError",
    "BinnedAUROC",
    "BinnedAveragePrecision",
    "BinnedCalibrationError",
    "BrierScore",
    "ClassAUROC",
    "ClassAveragePrecision",
    "ClassScore",
    "Curve",
    "DiceSweep",
    "HausdorffDistance95",
    "Interval",
    "LesionDetection",
    "MaskMetric",
    "MeanAveragePrecisionAtR",
    "Nested",
    "Objective",
    "PrecisionAt1",
    "SurfaceDice",
    "SweepResult",
    "bootstrap",
    "logit_thresholds",
    "nested",
]
