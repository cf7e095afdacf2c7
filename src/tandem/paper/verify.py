"""Runs trained once more, and their numbers compared with the first ones."""

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
    """One run, trained again.

    Attributes:
        job: its overrides in one line.
        verdict: `identical`, `within tolerance`, `differs` or `not finished`.
        exact: whether the numbers have to agree bit for bit: a CPU, the same threads, platform and versions.
        compared: how many numbers both runs have.
        largest: largest difference, of numbers above 1 in proportion to them.
        where: the number that differs most, with both values; empty where none does.
        unmatched: how many numbers only one of the two runs has, such as a metric that was added since.
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
        """Whether it is as it must be."""
        return self.verdict in ("identical", "within tolerance")


def sample(jobs: Sequence[PaperJob], count: int, seed: int) -> list[PaperJob]:
    """Some of the jobs, drawn by a seed; all, where there are not more.

    Args:
        jobs: finished ones.
        count: how many.
        seed: of the draw.
    """
    drawn = random.Random(seed).sample(sorted(jobs, key=lambda job: job.overrides), min(count, len(jobs)))  # noqa: S311
    return [job for job in jobs if job in drawn]


def verify(
    jobs: Sequence[tuple[PaperJob, PaperJob]], before: Outcome, out: Path, tolerance: float, train: Train
) -> list[Check]:
    """Trains jobs in a folder of their own, and compares every number with the one that there was.

    The same call goes on where it was interrupted; one that came to its end is made anew. What differs is left in the
    folder.

    Args:
        jobs: each as it was, and as it is here (another folder of the data gives it another place).
        before: what there was.
        out: folder of the paper; runs go to `verify/` in it, the report to `verify.json`.
        tolerance: largest difference where the machine, its threads or versions are others.
        train: trains a job in `verify/`, with so many threads.
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
        job: for the report.
        then: content of the first `results.json`.
        now: of the second; None where there is none.
        tolerance: as of `verify`.
    """
    said, exact = " ".join(job.overrides), now is not None and same_place(then, now)
    if now is None:
        return Check(said, "not finished", exact, 0, float("nan"), "")
    first, second = _numbers(then), _numbers(now)
    keys = [key for key in first if key in second]
    unmatched = len(first) + len(second) - 2 * len(keys)
    if not keys:
        return Check(said, "differs", exact, 0, float("nan"), "the runs have no number in common", unmatched)
    off = {key: _distance(first[key], second[key]) for key in keys if first[key] != second[key]}
    if not off and then.get("best_epoch") == now.get("best_epoch"):
        return Check(said, "identical", exact, len(keys), 0.0, "", unmatched)
    worst = max(off, key=lambda key: off[key], default="")
    largest = off.get(worst, 0.0)
    where = f"{worst}: {first[worst]} then, {second[worst]} now" if worst else "another best epoch"
    verdict = "within tolerance" if not exact and largest <= tolerance else "differs"
    return Check(said, verdict, exact, len(keys), largest, where, unmatched)


def same_place(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two runs must agree bit for bit: both on a CPU, with the same threads, platform and packages.

    The version of tandem itself does not count: that a new one gives the numbers of the old one is what is verified.
    """
    alike = all(then.get(key) == now.get(key) for key in ("device", "threads", "platform"))
    return alike and _packages(then) == _packages(now) and not _on_gpu(then) and not _on_gpu(now)


def _packages(results: Mapping[str, Any]) -> dict[str, Any]:
    return {name: version for name, version in (results.get("versions") or {}).items() if name != "tandem"}


def _on_gpu(results: Mapping[str, Any]) -> bool:
    """A run on a machine with a graphics card names that as its device."""
    words = ("nvidia", "geforce", "tesla", "amd instinct", "radeon")
    return any(word in str(results.get("device")).lower() for word in words)


def _numbers(results: Mapping[str, Any]) -> dict[str, Any]:
    return flatten({"metrics": results["metrics"], "thresholds": results.get("thresholds") or {}})


def _distance(one: Any, two: Any) -> float:
    if not isinstance(one, int | float) or not isinstance(two, int | float):
        return float("inf")  # known then, unknown now
    return abs(one - two) / max(1.0, abs(one))


def pairs(then: Iterable[PaperJob], now: Iterable[PaperJob]) -> list[tuple[PaperJob, PaperJob]]:
    """Jobs as they were with the same ones as they are here; those that there are not here any more are left out.

    Args:
        then: some jobs.
        now: all jobs of the paper here.
    """
    here = {job.overrides: job for job in now}
    return [(job, here[job.overrides]) for job in then if job.overrides in here]
