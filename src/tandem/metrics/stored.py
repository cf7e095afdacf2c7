"""Quantities as stored in `results.json`, so that studies and reports can describe a metric without its class."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from tandem.errors import DataError
from tandem.metrics.catalogue import CATALOGUE, Direction, Quantity, metric_of
from tandem.utils.json_members import made_of

STORED = ("label", "direction", "group", "order", "format", "at_threshold")


def as_stored(quantity: Quantity) -> dict[str, Any]:
    """Converts a quantity to plain values."""
    whole = asdict(quantity)
    return {key: whole[key] for key in STORED}


def read_quantities(results: Mapping[str, Any]) -> dict[str, Quantity]:
    """Reads the quantities of a run by `<task>/<metric>`; empty for runs of 0.1.0, which stored none.

    Args:
        results: content of the run's `results.json`.

    Raises:
        DataError: an entry has an invalid form.
    """
    return dict(made_of(results, "quantities", _read_all)) if "quantities" in results else {}


def _read_all(name: str, kept: Any) -> dict[str, Quantity]:
    if not isinstance(kept, Mapping):
        raise DataError(f"results.json: {name} is {str(kept)[:80]}, but must be a dict; train the run again")
    return {str(key): _read(f"{name}.{key}", value) for key, value in kept.items()}


def _read(where: str, kept: Any) -> Quantity:
    known = {key: kept[key] for key in STORED if key in kept} if isinstance(kept, Mapping) else {}
    try:
        found = _quantity(tuple((key, value, type(value)) for key, value in known.items()))
    except TypeError:  # a list or dict among the values
        found = None
    if found is None:
        raise DataError(f"results.json: {where} is {str(kept)[:200]}, which is not a valid entry; train the run again")
    return found


@lru_cache(maxsize=4096)  # runs of a study have the same ones
def _quantity(known: tuple[tuple[str, Any, type], ...]) -> Quantity | None:
    """A quantity from keys with their values, and types, since 1 and true are equal; None where a type is wrong."""
    found = Quantity(**{"label": None, **{key: value for key, value, _ in known}})
    fits = (
        isinstance(found.label, str)
        and found.direction in ("max", "min", None)
        and isinstance(found.group, str)
        and type(found.order) is int
        and isinstance(found.format, str)
        and re.fullmatch(r"\.\df", found.format) is not None
        and isinstance(found.at_threshold, bool)
    )
    return found if fits else None


def agreed(runs: Iterable[Mapping[str, Quantity]]) -> dict[str, Quantity]:
    """Merges the quantities of several runs. If two runs contradict each other, the direction is unknown.

    If some runs have a distance in millimetres and others in pixels, its label says so, and neither direction holds.

    Args:
        runs: quantities of each run; the first run that has a quantity gives its label.
    """
    found: dict[str, Quantity] = {}
    directions: dict[str, set[Direction]] = {}
    labels: dict[str, set[str]] = {}
    for stored in runs:
        for key, one in stored.items():
            found.setdefault(key, one)
            directions.setdefault(key, set()).add(one.direction)
            labels.setdefault(key, set()).add(one.label)
    known = {key: some - {None} for key, some in directions.items()}
    merged = {
        key: replace(one, direction=known[key].pop() if len(known[key]) == 1 else None) for key, one in found.items()
    }
    mixed = {key for key, some in labels.items() if _units_differ(key, some)}
    return merged | {key: replace(merged[key], label=" or ".join(sorted(labels[key])), direction=None) for key in mixed}


def _units_differ(key: str, labels: set[str]) -> bool:
    """Whether one label is that of millimetres and another that of pixels."""
    metric = metric_of(f"val/{key}")
    return metric is not None and {CATALOGUE[metric].label, CATALOGUE[metric].unit_label} <= labels
