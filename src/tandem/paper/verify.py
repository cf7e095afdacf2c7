"""Trains runs again, and compares their numbers with the original ones."""

import logging
import random
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tandem.config.resolve import flatten
from tandem.paper.jobs import PaperJob
from tandem.paper.outcome import Outcome, read_outcome
from tandem.utils.files import write_json

log = logging.getLogger(__name__)

REPORT = "verify.json"

Train = Callable[[PaperJob, int | None], object]


@dataclass(frozen=True)
class Check:
    """Comparison of one run that was trained again.

    Attributes:
        job: its overrides in one line.
        verdict: `identical`, `within tolerance`, `differs` or `not finished`.
        exact: whether the numbers must agree bit for bit: both on one kind of processor, with equal threads,
            platform and versions.
        compared: number of values that both runs have.
        largest: largest difference, relative for values above 1.
        where: the value that differs most, in both runs; empty if none differs.
        unmatched: number of values that only one of the runs has, such as a metric that was added since.
    """

    job: str
    verdict: str
    exact: bool
    compared: int
    largest: float
    where: str
    unmatched: int = 0

    @property
    def passed(self) -> bool:
        """Whether the run was reproduced."""
        return self.verdict in ("identical", "within tolerance")


def sample(jobs: Sequence[PaperJob], count: int, seed: int) -> list[PaperJob]:
    """Draws jobs at random; returns all if there are no more than `count`.

    Args:
        jobs: finished jobs.
        count: number of jobs to draw.
        seed: seed of the draw.
    """
    drawn = random.Random(seed).sample(sorted(jobs, key=lambda job: job.overrides), min(count, len(jobs)))  # noqa: S311
    return [job for job in jobs if job in drawn]


def verify(
    jobs: Sequence[tuple[PaperJob, PaperJob]], before: Outcome, out: Path, tolerance: float, train: Train
) -> list[Check]:
    """Trains jobs again in a separate folder, and compares every number with the original one.

    An interrupted call resumes; a completed call starts again. Runs that differ are kept in the folder.

    Args:
        jobs: pairs of the original job and the same job here (another data folder changes its hash and its place).
        before: the original outcome.
        out: folder of the paper; runs go to its `verify/`, the report to its `verify.json`.
        tolerance: largest allowed difference if processor, threads or versions differ.
        train: trains a job in `verify/` with the given number of threads.
    """
    report, scratch = out / REPORT, out / "verify"
    if report.exists():
        shutil.rmtree(scratch, ignore_errors=True)
        report.unlink()
    checks = []
    for number, (then, now) in enumerate(jobs, 1):
        log.info("training again, %d of %d: %s", number, len(jobs), " ".join(then.overrides))
        results = before.runs[then.place].results
        train(now, results.get("threads"))
        again = read_outcome([now], scratch).runs.get(now.place)
        checks.append(compare(then, results, again.results if again else None, tolerance))
        if checks[-1].passed:
            shutil.rmtree(scratch / now.place)
    if all(check.passed for check in checks):
        shutil.rmtree(scratch, ignore_errors=True)
    write_json(report, {"tolerance": tolerance, "checks": [asdict(check) for check in checks]})
    return checks


def compare(job: PaperJob, then: Mapping[str, Any], now: Mapping[str, Any] | None, tolerance: float) -> Check:
    """Compares two results of one job by the numbers that both have.

    Args:
        job: the job, for the report.
        then: content of the original `results.json`.
        now: content of the new `results.json`; None if the run did not finish.
        tolerance: see `verify`.
    """
    overrides, exact = " ".join(job.overrides), now is not None and same_place(then, now)
    if now is None:
        return Check(overrides, "not finished", exact, 0, float("nan"), "")
    first, second = _numbers(then), _numbers(now)
    keys = [key for key in first if key in second]
    # runs.csv has an empty cell where a run lacks the task of a column
    both = {**first, **second}
    unmatched = sum(both[key] is not None for key in first.keys() ^ second.keys())
    if not keys:
        return Check(overrides, "differs", exact, 0, float("nan"), "the runs have no number in common", unmatched)
    off = {key: _distance(first[key], second[key]) for key in keys if first[key] != second[key]}
    if not off and then.get("best_epoch") == now.get("best_epoch"):
        return Check(overrides, "identical", exact, len(keys), 0.0, "", unmatched)
    worst = max(off, key=lambda key: off[key], default="")
    largest = off.get(worst, 0.0)
    where = f"{worst}: {first[worst]} then, {second[worst]} now" if worst else "another best epoch"
    verdict = "within tolerance" if not exact and largest <= tolerance else "differs"
    return Check(overrides, verdict, exact, len(keys), largest, where, unmatched)


def same_place(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two runs must agree bit for bit: both on one kind of processor, with equal threads, platform, packages.

    Runs of earlier versions do not name their processor; it may have been another one. The version of tandem is
    ignored: verification checks that a new version gives the numbers of the old one.
    """
    alike = all(then.get(key) == now.get(key) for key in ("device", "processor", "threads", "platform"))
    return (
        alike
        and then.get("processor") is not None
        and _packages(then) == _packages(now)
        and not _on_gpu(then)
        and not _on_gpu(now)
    )


def _packages(results: Mapping[str, Any]) -> dict[str, Any]:
    own = ("tandem", "tandem-mtl")  # the first was its name in 0.1.0
    return {name: version for name, version in (results.get("versions") or {}).items() if name not in own}


def _on_gpu(results: Mapping[str, Any]) -> bool:
    """Whether a run used a GPU; its `device` then holds the name of the GPU."""
    words = ("nvidia", "geforce", "tesla", "amd instinct", "radeon")
    return any(word in str(results.get("device")).lower() for word in words)


def _numbers(results: Mapping[str, Any]) -> dict[str, Any]:
    return flatten({"metrics": results["metrics"], "thresholds": results.get("thresholds") or {}})


def _distance(one: Any, two: Any) -> float:
    if not isinstance(one, int | float) or not isinstance(two, int | float):
        return float("inf")  # one of the two is not defined
    return abs(one - two) / max(1.0, abs(one))


def pairs(then: Iterable[PaperJob], now: Iterable[PaperJob]) -> list[tuple[PaperJob, PaperJob]]:
    """Pairs original jobs with the same jobs here; jobs that no longer exist here are left out.

    Args:
        then: original jobs.
        now: all jobs of the paper in this configuration.
    """
    here = {job.overrides: job for job in now}
    return [(job, here[job.overrides]) for job in then if job.overrides in here]
