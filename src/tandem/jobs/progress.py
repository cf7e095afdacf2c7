"""A line for each job that ends."""

import logging
from collections.abc import Sequence

from tandem.jobs.outcome import JobOutcome, SweepJob, monitored

log = logging.getLogger(__name__)


class Progress:
    """A line for each job that ended: which, of how many, how long, the monitored value, and what is left.

    Args:
        count: jobs of the sweep, as far as they are known.
        waiting: how many are to be run.
        width: how many run at a time.
    """

    def __init__(self, count: int, waiting: int, width: int) -> None:
        self.count, self.waiting, self.width = count, waiting, width
        self.seconds: list[float] = []

    def tell(self, job: SweepJob, ending: JobOutcome) -> None:
        """Logs one line."""
        self.seconds.append(ending.seconds)
        line = f"job {job.number + 1} of {self.count} ({job.label}) {ending.state}"
        if ending.seconds:  # not known of a job whose worker was lost
            line += f" after {duration(ending.seconds)}"
        if ending.state == "finished":
            value = monitored(job)
            line += "" if value is None else f": {job.monitor} {value:.4f}"
        else:
            line += f": {ending.reason}"
        if left := self.waiting - len(self.seconds):
            rounds = -(-left // self.width)
            line += f" ({left} left, about {duration(rounds * sum(self.seconds) / len(self.seconds))})"
        log.info("%s", line)


def duration(seconds: float) -> str:
    """A time to be read at a glance.

    Example:
        >>> duration(4.2), duration(250), duration(7500)
        ('4 s', '4 min', '2 h 5 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def distinct(overrides: Sequence[Sequence[str]]) -> list[str]:
    """What is typed for each job and not for all of them, with short keys.

    Example:
        >>> distinct([["seed=1", "loss.gamma=1"], ["seed=1", "loss.gamma=2"]])
        ['gamma=1', 'gamma=2']
    """
    from tandem.reports.sweep_table import short_key

    common = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    own = [[word.partition("=") for word in words if word not in common] for words in overrides]
    keys = sorted({key for words in own for key, _, _ in words})
    return [" ".join(f"{short_key(key, keys)}={value}" for key, _, value in words) for words in own]
