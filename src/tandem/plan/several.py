"""The test of masks of several kinds, and of findings: a number with its interval for each."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tandem.plan.intervals import Interval, mean_interval

Rows = Sequence[Mapping[str, str]]

AREA = re.compile(r"(?:segmentation|semantic)\.(.+)\.area_true")
TRUE = re.compile(r"multilabel\.(?:(.+)\.)?true")


def dice_of_masks(
    rows: Rows, groups: NDArray[np.str_], background: Sequence[str] = ()
) -> dict[str, tuple[int, Interval]]:
    """Mean Dice by channel or class of a mask, over the images that have it, with their number.

    Args:
        rows: of `images.csv`.
        groups: of the rows.
        background: classes that are left out.
    """
    found = {}
    for column in rows[0] if rows else ():
        if (match := AREA.fullmatch(column)) is None or match[1] in background:
            continue
        stem = column.removesuffix("area_true")
        places = [p for p, row in enumerate(rows) if row.get(column) and int(row[column]) > 0]
        counts = [[int(rows[p][stem + key]) for key in ("area_true", "area_predicted", "intersection")] for p in places]
        if places:
            true, drawn, hits = np.array(counts).T
            found[match[1]] = (len(places), mean_interval(2 * hits / (true + drawn), groups[places]))
    return found


def answers_of_findings(
    rows: Rows, groups: NDArray[np.str_]
) -> dict[str, tuple[int, Interval | None, Interval | None]]:
    """By finding: images with it, sensitivity and specificity; None where no image tells.

    Args:
        rows: of `images.csv`.
        groups: of the rows.
    """
    found = {}
    for column in rows[0] if rows else ():
        if (match := TRUE.fullmatch(column)) is None:
            continue
        stem, shares = column.removesuffix("true"), []
        for answer in ("1", "0"):
            places = [p for p, row in enumerate(rows) if row.get(column) == answer]
            right = np.array([rows[p][stem + "predicted"] == answer for p in places], float)
            shares.append((len(places), mean_interval(right, groups[places]) if places else None))
        (yes, sensitivity), (_, specificity) = shares
        found[match[1] or "multilabel"] = (yes, sensitivity, specificity)
    return found
