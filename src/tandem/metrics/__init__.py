"""Metrics that accumulate counts over a whole split and divide once; `catalogue` describes all logged quantities.

Classes are imported on first access, so that the catalogue can be read without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tandem.metrics.answers import AnswerAUROC, AnswerAveragePrecision
    from tandem.metrics.bins import BinnedAUROC, BinnedAveragePrecision
    from tandem.metrics.calibration import BinnedCalibrationError, BrierScore
    from tandem.metrics.classes import (
        ClassAUROC,
        ClassAveragePrecision,
        ClassDice,
        ClassIoU,
        ClassScore,
        MatthewsCorrelation,
    )
    from tandem.metrics.dice_sweep import DiceSweep, logit_thresholds
    from tandem.metrics.lesions import AreaError, LesionDetection
    from tandem.metrics.masks import MaskMetric
    from tandem.metrics.objective import Aggregate, Objective
    from tandem.metrics.regression import R2, MeanAbsoluteError, MeanSquaredError
    from tandem.metrics.retrieval import MeanAveragePrecisionAtR, PrecisionAt1
    from tandem.metrics.surface import HausdorffDistance95, SurfaceDice
    from tandem.metrics.sweep_result import Curve, SweepResult
    from tandem.metrics.uncertainty import Interval, Nested, bootstrap, nested

__all__ = [
    "R2",
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
    "ClassDice",
    "ClassIoU",
    "ClassScore",
    "Curve",
    "DiceSweep",
    "HausdorffDistance95",
    "Interval",
    "LesionDetection",
    "MaskMetric",
    "MatthewsCorrelation",
    "MeanAbsoluteError",
    "MeanAveragePrecisionAtR",
    "MeanSquaredError",
    "Nested",
    "Objective",
    "PrecisionAt1",
    "SurfaceDice",
    "SweepResult",
    "bootstrap",
    "logit_thresholds",
    "nested",
]

_NAMES = {
    "answers": ("AnswerAUROC", "AnswerAveragePrecision"),
    "bins": ("BinnedAUROC", "BinnedAveragePrecision"),
    "calibration": ("BinnedCalibrationError", "BrierScore"),
    "classes": (
        "ClassAUROC",
        "ClassAveragePrecision",
        "ClassDice",
        "ClassIoU",
        "ClassScore",
        "MatthewsCorrelation",
    ),
    "dice_sweep": ("DiceSweep", "logit_thresholds"),
    "lesions": ("AreaError", "LesionDetection"),
    "masks": ("MaskMetric",),
    "objective": ("Aggregate", "Objective"),
    "regression": ("R2", "MeanAbsoluteError", "MeanSquaredError"),
    "retrieval": ("MeanAveragePrecisionAtR", "PrecisionAt1"),
    "surface": ("HausdorffDistance95", "SurfaceDice"),
    "sweep_result": ("Curve", "SweepResult"),
    "uncertainty": ("Interval", "Nested", "bootstrap", "nested"),
}
"""Public names by the module that they come from."""

_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Imports a public class or function from its module."""
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Public names, for suggestions."""
    return list(__all__)
