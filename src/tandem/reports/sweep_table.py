"""The table after a sweep: what was swept, and what came of it, a line a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from tandem.reports.table import WORDS, format_value, headline
from tandem.utils.console import escape


@dataclass(frozen=True)
class JobRow:
    """One finished job of a sweep.

    Attributes:
        overrides: what was typed for it, `key=value`.
        results: content of its `results.json`.
    """

    overrides: Sequence[str]
    results: Mapping[str, Any]


def swept(jobs: Sequence[JobRow]) -> dict[str, list[str]]:
    """What differs between the jobs: each overridden key with one value a job, `-` where a job does not give it.

    Example:
        >>> swept([Job(["a=1", "b=2"], {}), Job(["a=1", "b=3"], {})])
        {'b': ['2', '3']}
    """
    typed = [dict(override.lstrip("+~").partition("=")[::2] for override in job.overrides) for job in jobs]
    keys = dict.fromkeys(key for given in typed for key in given)
    columns = {key: [given.get(key, "-") for given in typed] for key in keys}
    return {key: values for key, values in columns.items() if len(set(values)) > 1}


def outcomes(job: JobRow) -> dict[str, float | None]:
    """The numbers that a job's line shows: each task's headline on validation and test data, by logged name.

    Args:
        job: with its results.
    """
    metrics = job.results["metrics"]
    shown: dict[str, float | None] = {}
    for task in job.results["config"]["tasks"]:
        if name := headline(metrics, task):
            shown |= {key: metrics.get(key) for key in (f"val/{task}/{name}", f"test/{task}/{name}")}
    return shown


def print_sweep(jobs: Sequence[JobRow], console: Console) -> None:
    """Prints the table; nothing where no job has finished.

    Args:
        jobs: the finished ones, in the order of their lines.
        console: where to.
    """
    if not jobs:
        return
    settings = swept(jobs)
    numbers = [outcomes(job) for job in jobs]
    names = list(dict.fromkeys(name for found in numbers for name in found))
    table = Table(title="what was swept, and the best checkpoint's numbers", title_justify="left")
    for key in settings:
        table.add_column(escape(short_key(key, list(settings))), overflow="fold")
    for name in names:
        table.add_column(escape(_title(name)), justify="right")
    for row, found in enumerate(numbers):
        table.add_row(
            *(escape(values[row]) for values in settings.values()), *(format_value(found.get(name)) for name in names)
        )
    console.print(table)


def _title(name: str) -> str:
    stage, task, metric = name.split("/", 2)
    return f"{stage} {task}\n{WORDS.get(metric, metric)}"


def short_key(key: str, keys: Sequence[str]) -> str:
    """The end of a dotted key, as long as it needs to be to tell it from the others.

    Example:
        >>> short_key("tasks.segmentation.loss.gamma", ["seed"])
        'gamma'
    """
    parts = key.split(".")
    for length in range(1, len(parts)):
        short = ".".join(parts[-length:])
        if not any(other != key and (other == short or other.endswith(f".{short}")) for other in keys):
            return short
    return key
