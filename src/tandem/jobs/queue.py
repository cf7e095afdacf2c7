"""Which jobs Slurm has in its queue: asked with `squeue`, which works on clusters that keep no accounts."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tandem.jobs.outcome import SweepJob
from tandem.utils.files import write_text

QUEUED = ".queued"
"""File in a job's folder with the number that Slurm gave it."""

EVERY = 5.0
"""Seconds between two questions to Slurm."""

GRACE = 30.0
"""Seconds after a job has left the queue until its result must be there: file systems are late."""


class _Queue:
    asked = -EVERY
    states: Mapping[str, str] | None = None
    gone: dict[str, float] = {}  # noqa: RUF012  # one queue for the process


def queue() -> Mapping[str, str] | None:
    """State of each of this person's jobs, by number, such as `7_2`; None if Slurm does not answer."""
    if time.monotonic() - _Queue.asked >= EVERY:
        _Queue.asked = time.monotonic()
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        _Queue.states = dict(line.split()[:2] for line in done.stdout.splitlines()) if not done.returncode else None
    return _Queue.states


def still_queued(number: str) -> bool:
    """Whether a job waits or runs, or has left the queue only a moment ago; True while Slurm does not answer."""
    states = queue()
    if states is None or states.get(number, "COMPLETED") not in ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT"):
        _Queue.gone.pop(number, None)
        return True
    return time.monotonic() - _Queue.gone.setdefault(number, time.monotonic()) < GRACE


def remember(job: SweepJob, number: str) -> None:
    """Writes the number of a queued job into its folder."""
    Path(job.folder).mkdir(parents=True, exist_ok=True)
    write_text(Path(job.folder) / QUEUED, number)


def queued_before(jobs: Sequence[SweepJob]) -> dict[int, str]:
    """The jobs that an earlier launch has queued, and that wait or run still: Slurm's number, by that of the job."""
    kept = {job.number: Path(job.folder) / QUEUED for job in jobs}
    numbers = {number: path.read_text().strip() for number, path in kept.items() if path.is_file()}
    states = (queue() or {}) if numbers else {}
    return {number: name for number, name in numbers.items() if name in states}
