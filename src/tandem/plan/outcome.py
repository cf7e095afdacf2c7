"""What the test says, over the images of all folds: each image was answered by the run that had not seen it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.plan.intervals import Interval
from tandem.plan.intervals import mean_interval as _mean
from tandem.plan.several import Rows, answers_of_findings, dice_of_masks

SIZES = ("small", "medium", "large")
"""Thirds of the lesions by area."""

CASES = 6


@dataclass(frozen=True)
class Outcome:
    """The result of a plan.

    Attributes:
        images: number of test images.
        folds: number of runs.
        recalls: by class: images, and recall.
        balanced: mean of the recalls; None without a class task.
        dice: mean Dice of images with a lesion; None without a mask task.
        lesions: images with a lesion.
        dice_of: mean Dice by class, with the number of images.
        dice_by_size: likewise by size of the lesion, with the largest share of the image.
        empty: share of images without lesion whose predicted mask is empty, with their number.
        bins: reliability of the predicted class: probability, share of right answers, count.
        worst: ids with the lowest Dice, with true and predicted share of the image.
        wrong: ids with the most confident wrong class: true, predicted, probability.
        masks: by kind of mask, where there are several: images that have it, and mean Dice.
        findings: by finding: images that have it, sensitivity, specificity.
    """

    images: int
    folds: int
    recalls: Mapping[str, tuple[int, Interval]]
    balanced: Interval | None
    dice: Interval | None
    lesions: int
    dice_of: Mapping[str, tuple[int, Interval]]
    dice_by_size: Mapping[str, tuple[int, float, Interval]]
    empty: tuple[int, Interval] | None
    bins: Mapping[str, Sequence[float]]
    worst: Sequence[tuple[str, float, float, float]]
    wrong: Sequence[tuple[str, str, str, float]]
    masks: Mapping[str, tuple[int, Interval]]
    findings: Mapping[str, tuple[int, Interval | None, Interval | None]]


def outcome_of(folds: Sequence[Rows], runs: Sequence[Path] = (), background: Sequence[str] = ()) -> Outcome:
    """Pools the rows of the folds.

    Args:
        folds: the rows of `images.csv` of each run.
        runs: the runs' folders, for the groups of images.
        background: classes of a mask that no one asks for.
    """
    from tandem.evaluate.reliability import reliability

    rows = [row for part in folds for row in part]
    groups = groups_of(rows, runs)
    labelled = [place for place, row in enumerate(rows) if row.get("classification.true")]
    true = np.array([rows[place]["classification.true"] for place in labelled])
    guess = np.array([rows[place]["classification.predicted"] for place in labelled])
    sure = np.array([_number(rows[p], f"classification.probability.{g}") for p, g in zip(labelled, guess, strict=True)])
    of = groups[labelled]
    recalls = {str(c): (int((true == c).sum()), _recall(true == c, guess == c, of)) for c in np.unique(true)}
    right = (true == guess).astype(float)
    lesion = [p for p, row in enumerate(rows) if row.get("segmentation.dice") and _number(row, _AREA) > 0]
    dice = np.array([_number(rows[place], "segmentation.dice") for place in lesion])
    share = np.array([_number(rows[place], _AREA) / _number(rows[place], "segmentation.known") for place in lesion])
    kinds = np.array([rows[place].get("class", "") for place in lesion])
    of = groups[lesion]
    third = np.searchsorted(np.quantile(share, (1 / 3, 2 / 3)), share) if len(share) >= 3 else np.zeros(0, int)
    none = [p for p, row in enumerate(rows) if row.get(_AREA) and _number(row, _AREA) == 0]
    blank = np.array([_number(rows[place], _FOUND) == 0 for place in none], float)
    order = np.argsort(dice, kind="stable")[:CASES]
    wrong = sorted(np.flatnonzero(right == 0).tolist(), key=lambda place: -sure[place])[:CASES]
    return Outcome(
        images=len(rows),
        folds=len(folds),
        recalls=recalls,
        balanced=_balanced(true, guess, groups[labelled]) if len(recalls) > 1 else None,
        dice=_mean(dice, of) if len(dice) else None,
        lesions=len(dice),
        dice_of={
            str(k): (int((kinds == k).sum()), _mean(dice[kinds == k], of[kinds == k])) for k in np.unique(kinds) if k
        },
        dice_by_size={
            name: (int((third == k).sum()), float(share[third == k].max()), _mean(dice[third == k], of[third == k]))
            for k, name in enumerate(SIZES)
            if (third == k).any()
        },
        empty=(len(blank), _mean(blank, groups[none])) if len(blank) else None,
        bins=reliability(sure, right) if len(sure) else {},
        worst=[
            (rows[lesion[p]]["id"], float(dice[p]), float(share[p]), _number(rows[lesion[p]], _FOUND)
             / _number(rows[lesion[p]], "segmentation.known"))
            for p in order
        ],
        wrong=[(rows[labelled[p]]["id"], str(true[p]), str(guess[p]), float(sure[p])) for p in wrong],
        masks=dice_of_masks(rows, groups, background),
        findings=answers_of_findings(rows, groups),
    )  # fmt: skip


_AREA, _FOUND = "segmentation.area_true", "segmentation.area_predicted"


def _number(row: Mapping[str, str], key: str) -> float:
    text = row.get(key, "")
    return float(text) if text else math.nan


def groups_of(rows: Rows, runs: Sequence[Path]) -> NDArray[Any]:
    """The group of each row, by the splits of the runs; a row without one is its own."""
    import csv

    from tandem.utils.artifacts import SPLITS_FILE

    known: dict[str, str] = {}
    for folder in runs:
        file = folder / SPLITS_FILE
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as opened:
                known |= {row["id"]: row.get("group") or row["id"] for row in csv.DictReader(opened)}
    return np.array([known.get(row["id"], row["id"]) for row in rows])


def _recall(yes: NDArray[Any], hit: NDArray[Any], groups: NDArray[Any]) -> Interval:
    return _mean(hit[yes].astype(float), groups[yes])


def _balanced(true: NDArray[Any], guess: NDArray[Any], groups: NDArray[Any]) -> Interval:
    from tandem.evaluate.bootstrap import BootstrapSamples, estimate, mean_known, ratio

    names = np.unique(true)
    of = (true[:, None] == names).astype(float)
    hits = of * (true == guess)[:, None]
    score = estimate(lambda w: {"mean": mean_known(ratio(w @ hits, w @ of))}, BootstrapSamples(1000, 0, groups))["mean"]
    return score.value, score.low, score.high
