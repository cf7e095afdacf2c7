"""The rows of an evaluation's table, for the report and the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tandem.metrics.catalogue import CATALOGUE, Quantity
from tandem.metrics.stored import read_quantities
from tandem.reports.table import leading, result_groups


class ReportRow(NamedTuple):
    """One row of the table.

    Attributes:
        task: name of the task in the first row of each group of images; empty in further rows.
        images: the group of images, in its first row; empty in further rows.
        metric: label of the metric.
        value: the value; nan or None where it is not defined.
        interval: low and high end of the interval; None if there is none.
    """

    task: str
    images: str
    metric: str
    value: float | None
    interval: tuple[float | None, float | None] | None


def rows_of(evaluation: Mapping[str, Any], lead: bool = False) -> Iterator[ReportRow]:
    """The metrics in display order, without terms of losses and values of single classes.

    Args:
        evaluation: content of its `metrics.json`.
        lead: whether only the first metrics of each group are wanted.
    """
    split, intervals = evaluation["split"], evaluation["intervals"]
    names = [key for key in evaluation["metrics"] if key.count("/") == 2]
    values: dict[str, float | None] = {}
    ends: dict[str, float | None] = {}
    for key in names:  # the slots "val" and "test" of `result_groups` carry the value and the ends of its interval
        rest = key.removeprefix(split)
        low, high = intervals.get(key, (None, None))
        values[f"val{rest}"] = evaluation["metrics"][key]
        ends |= {f"val{rest}": low, f"test{rest}": high}
    tasks, stored = evaluation["tasks"], read_quantities(evaluation)
    both = (result_groups(slots, tasks, stored) for slots in (values, ends))
    for (task, group, rows), (_, _, intervals_of) in zip(
        *(leading(part) if lead else part for part in both), strict=True
    ):
        for index, ((one, value, _), (_, low, high)) in enumerate(zip(rows, intervals_of, strict=True)):
            interval = None if low is None and high is None else (low, high)
            yield ReportRow(task if index == 0 else "", group if index == 0 else "", _label(one), value, interval)


def _label(one: Quantity) -> str:
    """Label of the row, which says where lower is better; the threshold may not be the stored one."""
    threshold = CATALOGUE["threshold"]
    label = threshold.column if one.label == threshold.label else one.label
    return f"{label} (lower is better)" if one.direction == "min" else label
