"""The table after a sweep: swept options and results, one line for each job."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from tandem.metrics.catalogue import Quantity, describe
from tandem.metrics.stored import agreed, read_quantities
from tandem.reports.table import headline
from tandem.utils.console import escape
from tandem.utils.terminal_table import print_table

ROWS = 20
"""Jobs in the table; a study has all."""


@dataclass(frozen=True)
class JobRow:
    """One finished job of a sweep.

    Attributes:
        overrides: its overrides, `key=value`.
        results: content of its `results.json`.
    """

    overrides: Sequence[str]
    results: Mapping[str, Any]


def swept(jobs: Sequence[JobRow]) -> dict[str, list[str]]:
    """Returns the overridden keys that differ between jobs, with one value for each job, `-` if a job lacks the key.

    Example:
        >>> swept([JobRow(["a=1", "b=2"], {}), JobRow(["a=1", "b=3"], {})])
        {'b': ['2', '3']}
    """
    typed = [dict(override.lstrip("+~").partition("=")[::2] for override in job.overrides) for job in jobs]
    keys = dict.fromkeys(key for given in typed for key in given)
    columns = {key: [given.get(key, "-") for given in typed] for key in keys}
    return {key: values for key, values in columns.items() if len(set(values)) > 1}


def outcomes(job: JobRow) -> dict[str, float | None]:
    """Returns the numbers of a job's line: each task's main metric on validation and test data, by logged name.

    Args:
        job: a job with its results.
    """
    metrics = job.results["metrics"]
    shown: dict[str, float | None] = {}
    for task in job.results["config"]["tasks"]:
        if name := headline(metrics, task, read_quantities(job.results)):
            shown |= {key: metrics.get(key) for key in (f"val/{task}/{name}", f"test/{task}/{name}")}
    return shown


def best_jobs(jobs: Sequence[JobRow], most: int) -> list[JobRow]:
    """The jobs with the best monitored values, in their order; all of them where there are few.

    Args:
        jobs: with their results.
        most: number of jobs.
    """

    def rank(job: JobRow) -> float:
        value = job.results["metrics"].get(job.results.get("monitor"))
        sign = -1 if job.results.get("mode") == "max" else 1
        return math.inf if value is None or math.isnan(value) else sign * value

    kept = sorted(range(len(jobs)), key=lambda place: rank(jobs[place]))[:most]
    return [jobs[place] for place in sorted(kept)]


def print_sweep(jobs: Sequence[JobRow], console: Console) -> None:
    """Prints the table; prints nothing if no job has finished.

    Args:
        jobs: the finished jobs, in the order of their lines.
        console: the console to print to.
    """
    if not jobs:
        return
    total, jobs = len(jobs), best_jobs(jobs, ROWS)
    settings = swept(jobs)
    numbers = [outcomes(job) for job in jobs]
    stored = agreed(read_quantities(job.results) for job in jobs)
    names = list(dict.fromkeys(name for found in numbers for name in found))
    table = Table(title="swept options, and results of the best checkpoint", title_justify="left")
    for key in settings:
        table.add_column(escape(short_key(key, list(settings))), overflow="fold")
    for name in names:
        table.add_column(escape(_title(name, stored)), justify="right")
    for row, found in enumerate(numbers):
        table.add_row(
            *(escape(values[row]) for values in settings.values()),
            *(describe(name, stored).text(found.get(name)) for name in names),
        )
    print_table(table, console, len(settings))
    if len(jobs) < total:
        console.print(f"the best {len(jobs)} of {total} jobs, on validation", highlight=False)


def _title(name: str, stored: Mapping[str, Quantity]) -> str:
    stage, task, _ = name.split("/", 2)
    return f"{stage} {task}\n{describe(name, stored).label}"


def short_key(key: str, keys: Sequence[str]) -> str:
    """Returns the shortest end of a dotted key that distinguishes it from the others; a task's weight keeps its word.

    Example:
        >>> short_key("tasks.segmentation.loss.gamma", ["seed"])
        'gamma'
        >>> short_key("balance.weights.segmentation", ["seed"])
        'weights.segmentation'
    """
    parts = key.split(".")
    for length in range(2 if parts[-2:-1] == ["weights"] else 1, len(parts)):
        short = ".".join(parts[-length:])
        if not any(other != key and (other == short or other.endswith(f".{short}")) for other in keys):
            return short
    return key
