"""Progress of a prediction: a bar with the remaining time in a terminal, otherwise a log line now and then."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

EVERY = 15.0
"""Seconds between two log lines."""


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Shows progress while the context lasts.

    Args:
        total: number of images.

    Yields:
        A function to call after each image.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(total)
        return
    left = (TextColumn("elapsed"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(TextColumn("images"), BarColumn(), MofNCompleteColumn(), *left, console=console) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


class _Lines:
    """Logs the progress, at most every `EVERY` seconds."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.start = self.last = time.monotonic()

    def __call__(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.last >= EVERY:
            self.last = now
            rate = self.done / (now - self.start)
            log.info(
                "%d/%d images, %.1f per second, %.0f s left",
                self.done,
                self.total,
                rate,
                (self.total - self.done) / rate,
            )
