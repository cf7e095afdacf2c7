"""`runs.csv`: every run of a paper, with its overrides and metrics in full precision, so that others can verify it."""

import csv
import io
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.config.resolve import flatten
from tandem.errors import DataError
from tandem.paper.jobs import PaperJob
from tandem.paper.outcome import Outcome
from tandem.study.runs import Run
from tandem.utils.files import read_json

RUNS, MANIFEST = "runs.csv", "manifest.json"

HEAD = ("study", "run", "overrides", "best_epoch")
"""Columns before the metrics: name of the study, `<name>/<hash>`, overrides, and the evaluated epoch."""

THRESHOLDS = "thresholds."


def runs_csv(outcome: Outcome) -> str:
    """The finished runs, one row each; a value that is not defined is an empty cell.

    Floats are written with `repr`, so that reading them gives the same bits.

    Args:
        outcome: outcome of a paper's jobs.
    """
    rows = [(job, outcome.runs[job.place].results) for job in outcome.jobs if job.place in outcome.runs]
    numbers = [_numbers(results) for _, results in rows]
    keys = list(dict.fromkeys(key for found in numbers for key in found))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*HEAD, *keys])
    for (job, results), found in zip(rows, numbers, strict=True):
        head = [job.study, job.place, shlex.join(job.overrides), results.get("best_epoch")]
        table.writerow([*head, *(_cell(found.get(key)) for key in keys)])
    return text.getvalue()


def read_runs(folder: Path) -> tuple[str, Outcome]:
    """Reads the budget and the runs of a published folder from its `manifest.json` and `runs.csv`.

    Args:
        folder: the published folder, such as `results/curated_busi`.

    Raises:
        DataError: a file is missing, or was not written by this module.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        described = {run["place"]: run for run in manifest["runs"]}
        budget = str(manifest["budget"]["name"])
        with (folder / RUNS).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        jobs = [PaperJob(row["study"], tuple(shlex.split(row["overrides"])), {}, row["run"]) for row in rows]
        runs = {job.place: _run(folder, job, row, described[job.place]) for job, row in zip(jobs, rows, strict=True)}
    except FileNotFoundError as error:
        raise DataError(
            f"against={folder} has no {Path(str(error.filename)).name}; give a folder that reproduce.py wrote"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"against={folder} cannot be read: {type(error).__name__}: {error}") from error
    return budget, Outcome(jobs, runs, {})


def _numbers(results: Mapping[str, Any]) -> dict[str, Any]:
    return {**results["metrics"], **flatten(results.get("thresholds") or {}, THRESHOLDS)}


def _cell(value: Any) -> str:
    return "" if value is None else repr(value)


def _run(folder: Path, job: PaperJob, row: Mapping[str, str], described: Mapping[str, Any]) -> Run:
    """A run with the results that a comparison needs: metrics, thresholds, best epoch and environment."""
    numbers = {key: float(cell) if cell else None for key, cell in row.items() if key not in HEAD}
    metrics = {key: value for key, value in numbers.items() if not key.startswith(THRESHOLDS)}
    thresholds = {key.removeprefix(THRESHOLDS): value for key, value in numbers.items() if key.startswith(THRESHOLDS)}
    best = int(row["best_epoch"]) if row["best_epoch"] else None
    results = {**described, "metrics": metrics, "thresholds": thresholds, "best_epoch": best}
    return Run(folder, results, metrics, job.overrides)
