"""Assigns each image of a split to its group."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem.data.samples import Samples
from tandem.errors import ConfigError
from tandem.evaluate.groups.bands import group_names
from tandem.evaluate.groups.columns import LESION_AREA, NONE, column_values, lesion_areas, tertiles
from tandem.evaluate.groups.options import Grouping
from tandem.evaluate.rows import RowsFile

GROUPS_FILE = "groups.csv"


@dataclass(frozen=True)
class Groups:
    """The groups of a split's images.

    Attributes:
        column: the column that they come from.
        of: (N,) name of each image's group.
        names: names of the groups, in the order of tables.
        note: where the values, and the ends of bands, come from.
    """

    column: str
    of: np.ndarray
    names: tuple[str, ...]
    note: str


def assign(
    groupings: Sequence[Grouping],
    samples: Samples,
    classes: Sequence[str],
    source: Any,
    table: str | None,
    train: Samples | None,
) -> list[Groups]:
    """Assigns the images, before anything is predicted.

    Args:
        groupings: the columns.
        samples: the images.
        classes: names of their classes.
        source: the data set that they come from.
        table: see `column_values`.
        train: the run's training images, for the bands of `lesion_area`; None if they are not here.

    Raises:
        ConfigError: a column or its bands cannot be used.
        DataError: the table cannot be read.
    """
    found = []
    for grouping in groupings:
        if grouping.column == LESION_AREA:
            found.append(_by_area(grouping, samples, train))
            continue
        values, place = column_values(grouping.column, samples, classes, source, table)
        of, names = group_names(grouping, values)
        found.append(Groups(grouping.column, np.array(of), tuple(names), f"Values from {place}."))
    return found


def write_groups(folder: Path, ids: Sequence[str], groups: Sequence[Groups]) -> None:
    """Writes `groups.csv`: the id of each image and its group by each column.

    Args:
        folder: folder of the evaluation.
        ids: names of the images.
        groups: their groups.
    """
    with RowsFile(folder / GROUPS_FILE, ["id", *(of.column for of in groups)]) as file:
        file.write({"id": name, **{of.column: str(of.of[row]) for of in groups}} for row, name in enumerate(ids))


def _by_area(grouping: Grouping, samples: Samples, train: Samples | None) -> Groups:
    """Bands of the lesion's area; by default the thirds of the run's training lesions."""
    ends, note = grouping.ends, "The area is the lesion's share of the image."
    if not ends:
        if train is None:
            raise ConfigError(
                "by=lesion_area takes its bands from the run's training data, which are not here; give them: "
                "by=lesion_area:0.05,0.1"
            )
        ends = tertiles(lesion_areas(train))
        note += " The bands are the thirds of the lesions in the run's training data."
        if not ends:
            raise ConfigError(
                "by=lesion_area needs lesions of three sizes in the run's training data; give the bands: "
                "by=lesion_area:0.05,0.1"
            )
    areas = lesion_areas(samples)
    texts = ["" if np.isnan(area) else repr(float(area)) for area in areas]
    of, names = group_names(Grouping(LESION_AREA, ends), texts)
    of = [NONE if area == 0 else name for name, area in zip(of, areas.tolist(), strict=True)]
    return Groups(LESION_AREA, np.array(of), tuple(n for n in (NONE, *names) if n in of), note)
