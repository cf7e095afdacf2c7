"""Runs the training command in its own process."""

import signal
from collections.abc import Sequence

from tandem.jobs.process import Steps, start_process
from tandem.utils.signals import KILL, Terminated

STEPS: Steps = ((0, signal.SIGINT), (60, signal.SIGTERM), (75, KILL))
"""Seconds and signals that stop training after Ctrl-C; a sweep first gets time to stop its own jobs."""

ENDED = (130, 143)
"""Exit codes of training that Ctrl-C or SIGTERM has ended."""


def train(words: Sequence[str], threads: int | None = None) -> int:
    """Runs `tandem-train`, which prints to the same terminal.

    Args:
        words: command-line arguments.
        threads: number of threads that it may use; None: the default.

    Returns:
        The exit code.

    Raises:
        KeyboardInterrupt: Ctrl-C in this process or in the training process.
    """
    variables = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    code = start_process(["-m", "tandem.train", *words], variables, steps=STEPS).wait()
    if code in ENDED:
        raise KeyboardInterrupt if code == 130 else Terminated(code - 128)
    return code
