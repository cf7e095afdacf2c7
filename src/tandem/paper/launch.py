"""The command that trains, called as a user would type it, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence

GRACE = 60.0
"""Seconds that training has to end by itself after Ctrl-C, which reaches it too."""


def train(words: Sequence[str], threads: int | None = None) -> int:
    """Runs `tandem-train`; what it prints is seen.

    Args:
        words: its arguments.
        threads: that it may use; None: as many as usual.

    Returns:
        Its exit code.

    Raises:
        KeyboardInterrupt: Ctrl-C here or there.
    """
    environment = dict(os.environ)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    process = subprocess.Popen([sys.executable, "-m", "tandem.train", *words], env=environment)  # noqa: S603
    try:
        code = process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.terminate()
        raise
    if code == 130:
        raise KeyboardInterrupt
    return code
