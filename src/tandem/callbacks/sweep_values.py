"""The values and curves of the threshold sweep for one yes/no question."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tandem.metrics import SweepResult

DRAWN = 100
"""Approximate number of points kept of a curve over the many thresholds of a whole-image question."""

Values = dict[str, float]


def mask_values(result: SweepResult, index: int, fixed: int) -> Values:
    """Returns the values of a mask at one threshold, by logged name. Undefined values are nan.

    Args:
        result: of one class, with separate images.
        index: index of the threshold.
        fixed: index of the threshold 0.5, which is always reported too.

    Returns:
        `dice`, `iou` (of the official aggregate), `dice_global`, `dice_lesion` and `iou_lesion` (means over images
        with foreground), `precision`, `recall` (global), `specificity_empty` (share of images without foreground where
        nothing is predicted), `threshold`, `dice_at_0.5`, `dice_lesion_at_0.5`; and the objective, if it is not among
        these.
    """
    whole = result.by(goal="dice", aggregate="global")
    lesion = result.by(goal="dice", aggregate="per_image", empty="skip")
    curves = {
        "dice": result.measure("dice"),
        "iou": result.measure("iou"),
        "dice_global": whole.measure("dice"),
        "dice_lesion": lesion.measure("dice"),
        "iou_lesion": lesion.measure("iou"),
        "precision": whole.measure("precision"),
        "recall": whole.measure("recall"),
        "specificity_empty": result.specificity_empty(),
    }
    return {
        **_at(result, curves, index),
        "dice_at_0.5": float(curves["dice"][0, fixed]),
        "dice_lesion_at_0.5": float(curves["dice_lesion"][0, fixed]),
    }


def label_values(result: SweepResult, index: int, fixed: int) -> Values:
    """Returns the values of a yes/no question about whole images at one threshold, by logged name.

    Args:
        result: of one question.
        index: index of the threshold.
        fixed: index of the threshold 0.5, which is always reported too.

    Returns:
        `f1`, `sensitivity`, `specificity`, `ppv` (precision), `youden`, `threshold`, `f1_at_0.5`; and the objective, if
        it is not among these.
    """
    curves = {name: result.measure(name) for name in ("f1", "sensitivity", "specificity", "youden")}
    curves["ppv"] = result.measure("precision")
    return {**_at(result, curves, index), "f1_at_0.5": float(curves["f1"][0, fixed])}


def mean_values(questions: Sequence[Mapping[str, float]]) -> Values:
    """Averages the values over the questions of one task, except the threshold; nan is ignored."""
    means = {}
    for name in questions[0]:
        known = [values[name] for values in questions if not math.isnan(values[name])]
        if name != "threshold":
            means[name] = math.fsum(known) / len(known) if known else math.nan
    return means


def curves_of(result: SweepResult, index: int) -> dict[str, list[float]]:
    """Returns curves over `thresholds`: Dice of both aggregates for masks; F1, sensitivity and specificity for images.

    Args:
        result: of one question; it is about masks if its images are separate.
        index: index of the chosen threshold, which is always kept.
    """
    if result.images:
        kept = torch.arange(len(result.thresholds))
        names = {"dice_global": "global", "dice_lesion": "per_image"}
        lines = {
            name: result.by(goal="dice", aggregate=kind, empty="skip").measure("dice") for name, kind in names.items()
        }
    else:
        stride = max(1, len(result.thresholds) // DRAWN)
        kept = torch.unique(torch.cat([torch.arange(0, len(result.thresholds), stride), torch.tensor([index])]))
        lines = {name: result.measure(name) for name in ("f1", "sensitivity", "specificity")}
    thresholds = [round(value, 6) for value in result.thresholds[kept].tolist()]
    return {"thresholds": thresholds, **{name: line[0, kept].tolist() for name, line in lines.items()}}


def _at(result: SweepResult, curves: Mapping[str, Tensor], index: int) -> Values:
    goal = result.objective.goal
    scored = dict(curves) if goal in curves or goal in ("dice", "f1") else {**curves, goal: result.measure(goal)}
    values = {name: float(curve[0, index]) for name, curve in scored.items()}
    return {**values, "threshold": round(float(result.thresholds[index]), 6)}
