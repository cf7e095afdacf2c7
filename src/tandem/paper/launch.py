"""The command that trains, called as a user would type it, in a process of its own."""

import signal
from collections.abc import Sequence

from tandem.jobs.process import Steps, start_process

STEPS: Steps = ((0, signal.SIGINT), (60, signal.SIGTERM), (75, signal.SIGKILL))
"""How training is stopped after Ctrl-C: a sweep first stops its own jobs."""


def train(words: Sequence[str], threads: int | None = None) -> int:
    """Runs `tandem-train`, which prints to the same terminal.

    Args:
        words: its arguments.
        threads: the number of threads that it may use; None: the default.

    Returns:
        Its exit code.

    Raises:
        KeyboardInterrupt: Ctrl-C here or there.
    """
    variables = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    code = start_process(["-m", "tandem.train", *words], variables, steps=STEPS).wait()
    if code == 130:
        raise KeyboardInterrupt
    return code
