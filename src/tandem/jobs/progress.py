"""A line for each job that ends."""

import logging
from collections.abc import Sequence

from tandem.jobs.outcome import JobOutcome, SweepJob, monitored

log = logging.getLogger(__name__)


class Progress:
    """Logs a line for each job that ends: its number, run time and monitored value, and the estimated remaining time.

    Args:
        count: number of jobs of the sweep, as far as they are known.
        waiting: number of jobs that are still to run.
        width: number of jobs that run at the same time.
    """

    def __init__(self, count: int, waiting: int, width: int) -> None:
        self.count, self.waiting, self.width = count, waiting, width
        self.seconds: list[float] = []

    def log_outcome(self, job: SweepJob, outcome: JobOutcome) -> None:
        """Logs one line."""
        self.seconds.append(outcome.seconds)
        line = f"job {job.number + 1} of {self.count} ({job.label}) {outcome.state}"
        if outcome.seconds:  # unknown if the job's worker was lost
            line += f" after {duration(outcome.seconds)}"
        if outcome.state == "finished":
            value = monitored(job)
            line += "" if value is None else f": {job.monitor} {value:.4f}"
        else:
            line += f": {outcome.reason}"
        if left := self.waiting - len(self.seconds):
            rounds = -(-left // self.width)
            line += f" ({left} left, about {duration(rounds * sum(self.seconds) / len(self.seconds))})"
        log.info("%s", line)


def duration(seconds: float) -> str:
    """A duration for people.

    Example:
        >>> duration(4.2), duration(250), duration(7500)
        ('4 s', '4 min', '2 h 5 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def distinct(overrides: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs share, with short keys.

    Example:
        >>> distinct([["seed=1", "loss.gamma=1"], ["seed=1", "loss.gamma=2"]])
        ['gamma=1', 'gamma=2']
    """
    from tandem.reports.sweep_table import short_key

    common = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    own = [[word.partition("=") for word in words if word not in common] for words in overrides]
    keys = sorted({key for words in own for key, _, _ in words})
    return [" ".join(f"{short_key(key, keys)}={value}" for key, _, value in words) for words in own]
