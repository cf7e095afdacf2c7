"""The rows of an evaluation's table, for the page and the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tandem.metrics.catalogue import CATALOGUE, Quantity
from tandem.metrics.stored import read_quantities
from tandem.reports.table import result_groups


class ReportRow(NamedTuple):
    """One number.

    Attributes:
        task: its name, in the first row of it and of a group of images; empty otherwise.
        images: which images it is over, likewise.
        metric: what it is called.
        value: nan or None where nothing can be known.
        interval: low and high end, where there is one.
    """

    task: str
    images: str
    metric: str
    value: float | None
    interval: tuple[float | None, float | None] | None


def rows_of(evaluation: Mapping[str, Any]) -> Iterator[ReportRow]:
    """The numbers in the order in which they are read, without parts of losses and values of single classes.

    Args:
        evaluation: content of its `metrics.json`.
    """
    split, intervals = evaluation["split"], evaluation["intervals"]
    names = [key for key in evaluation["metrics"] if key.count("/") == 2]
    values: dict[str, float | None] = {}
    ends: dict[str, float | None] = {}
    for key in names:  # `result_groups` knows two splits; here they are the number, and the ends of its interval
        rest = key.removeprefix(split)
        low, high = intervals.get(key, (None, None))
        values[f"val{rest}"] = evaluation["metrics"][key]
        ends |= {f"val{rest}": low, f"test{rest}": high}
    tasks, stored = evaluation["tasks"], read_quantities(evaluation)
    pairs = zip(result_groups(values, tasks, stored), result_groups(ends, tasks, stored), strict=True)
    for (task, group, rows), (_, _, intervals_of) in pairs:
        for index, ((one, value, _), (_, low, high)) in enumerate(zip(rows, intervals_of, strict=True)):
            interval = None if low is None and high is None else (low, high)
            yield ReportRow(task if index == 0 else "", group if index == 0 else "", _label(one), value, interval)


def _label(one: Quantity) -> str:
    """What the row is called; the threshold may be another than the stored one."""
    threshold = CATALOGUE["threshold"]
    return threshold.column if one.label == threshold.label else one.label
