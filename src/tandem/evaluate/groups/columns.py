"""The value of a column for each image: from a table that is given, the data's own table, or what the images show."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tandem.config.suggest import nearest
from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.files.missing import MissingValues
from tandem.data.files.table import SourceTable, read_any
from tandem.data.loading.storage import chunks
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.utils.files import shortest

LESION_AREA, CLASS = "lesion_area", "class"
KEYS = ("id", "image")
"""Columns of a given table that name an image, the first one that it has."""

NONE = "no lesion"


def column_values(
    column: str, samples: Samples, classes: Sequence[str], source: Any, table: str | None
) -> tuple[list[str], str]:
    """Returns the text of a column for each image, empty where it is missing, and where it comes from.

    Args:
        column: its name; `class` is the class, and `lesion_area` see `lesion_areas`.
        samples: the images.
        classes: names of their classes.
        source: the data set that they come from, after `load`.
        table: path of a table with a column `id` or `image`; None: the data's own columns.

    Raises:
        ConfigError: no column has this name.
        DataError: the table cannot be read, or names no image.
    """
    if column == CLASS:
        return ["" if label == MISSING_LABEL else classes[label] for label in samples.labels.tolist()], "the class"
    if table is not None:
        path = Path(table).expanduser()
        return _looked_up(samples.ids, _of_table(path, column), path), path.name
    if column in samples.columns:
        numbers = samples.columns[column].tolist()
        return ["" if number != number else str(shortest(number)) for number in numbers], "the data's numbers"
    known: dict[str, str] = {}
    offered: list[str] = [CLASS, LESION_AREA, *samples.columns]
    for name, one in _sources(source).items():
        rows = getattr(one, "rows_from", None)
        if isinstance(rows, SourceTable):
            found, columns = _of_source(one, rows, column)
            known |= {f"{name}{key}": value for key, value in found.items()}
            offered += columns
    if not known:
        hint = nearest(column, list(dict.fromkeys(offered)))
        raise ConfigError(f"by names '{column}', which the data have no column of: {hint}; or give table=FILE with it")
    return [known.get(name, "") for name in samples.ids], "the data's table"


def _sources(source: Any) -> dict[str, Any]:
    """The source, or those of mixed data, by what their ids begin with."""
    inner = getattr(source, "sources", None)
    return {f"{name}/": one for name, one in inner.items()} if isinstance(inner, Mapping) else {"": source}


def _of_source(source: Any, rows: SourceTable, column: str) -> tuple[dict[str, str], list[str]]:
    """Text of a column by id from the table that a source was read from, and the names of all its columns."""
    path = source.files_root / rows.file
    found = read_any(path, rows.columns.needed)
    columns = sorted(found[0]) if found else []
    if path.suffix.lower() in (".parquet", ".pq") or column in columns:
        try:
            found = read_any(path, [*rows.columns.needed, column])
        except DataError:
            return {}, columns
    else:
        return {}, columns
    clean = MissingValues(rows.missing.words).clean
    cells = {f"{str(path)!r}, row {number}": clean(column, row[column]) for number, row in enumerate(found, start=1)}
    return {record.id: cells.get(record.place, "") for record in source.records}, columns


def _of_table(path: Path, column: str) -> dict[str, str]:
    """Text of a column by the name of the image."""
    errors = []
    for key in KEYS:
        try:
            rows = read_any(path, [key, column])
        except DataError as error:
            errors.append(error)
            continue
        clean = MissingValues().clean
        found: dict[str, str] = {}
        for row in rows:
            name = row[key].strip()
            if name in found:
                raise DataError(f"table={path} lists {name!r} twice: each image has one row")
            found[name] = clean(column, row[column])
        return found
    lacking = column if all(f"'{column}'" in str(e) or f"column {column}" in str(e) for e in errors) else "id"
    raise DataError(f"table={path} lacks the column '{lacking}', or cannot be read ({errors[0]})")


def _looked_up(ids: Sequence[str], cells: Mapping[str, str], path: Path) -> list[str]:
    """Cells by id, by name without folders, or either without the file's ending."""
    ways: list[Callable[[str], str]] = [
        lambda name: name,
        lambda name: str(Path(name).with_suffix("")),
        lambda name: Path(name).name,
        lambda name: Path(name).stem,
    ]
    for way in ways:
        keys: dict[str, str] = {}
        for name, value in cells.items():
            keys.setdefault(way(name), value)
        if len(keys) == len(cells) and any(way(name) in keys or name in keys for name in ids):
            return [keys.get(name, keys.get(way(name), "")) for name in ids]
    raise DataError(f"table={path} names none of the images, such as {ids[0]!r}: give their ids in a column id")


def lesion_areas(samples: Samples) -> np.ndarray:
    """(N,) area of the lesion as a share of the known pixels of an image, nan without a mask.

    Args:
        samples: images; of several mask channels any, of several classes any but the background.
    """
    if not samples.masks.shape[1]:
        return np.full(len(samples), np.nan)
    found = []
    for part in chunks(samples.masks):
        known = (part != MISSING_PIXEL).any(1).flatten(1).sum(1).double()
        lesion = ((part != MISSING_PIXEL) & (part > 0)).any(1).flatten(1).sum(1).double()
        found.append(torch.where(known > 0, lesion / known.clamp(min=1), torch.nan))
    return torch.cat(found).numpy()


def tertiles(areas: np.ndarray) -> tuple[float, ...]:
    """The two ends that divide the lesions among some images into thirds.

    Args:
        areas: of `lesion_areas`, of the training images.
    """
    lesions = areas[areas > 0]
    if len(np.unique(lesions)) < 3:
        return ()
    low, high = np.quantile(lesions, (1 / 3, 2 / 3))
    return (float(f"{low:.3g}"), float(f"{high:.3g}")) if float(f"{low:.3g}") < float(f"{high:.3g}") else ()
