"""Starts a process for each device of a run, and ends all of them where one fails."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tandem import errors
from tandem.errors import TandemError
from tandem.utils.artifacts import RESULTS
from tandem.utils.files import read_json

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "tandem.train.ddp_worker")
"""What is run for each device."""

MEETING = "meeting"
"""File in which the processes find each other."""

LOOK = 0.05
"""Seconds between two looks at the processes."""

PATIENCE = 1.0
"""Seconds that the others have to say something, once one has failed; what is said first counts."""

GRACE = 10.0
"""Seconds that processes have to end once they are told to; then they are killed."""

Processes = Sequence["subprocess.Popen[bytes]"]


class WorkerError(Exception):
    """What nobody foresaw, in the process of one of several devices."""


class _Elsewhere(Exception):  # noqa: N818 (a traceback, shown as the cause)
    """The traceback of another process."""


def train_on_devices(config: Mapping[str, Any], folder: Path, count: int) -> dict[str, Any]:
    """Trains in so many processes, one for each device, and waits for them.

    The processes are new ones that are given the configuration as it is; nothing of the command line is run again, so
    it works alone and in a sweep. They end where this process ends, however it ends.

    Args:
        config: the resolved configuration.
        folder: the run's folder.
        count: of devices.

    Returns:
        What is in `results.json`.

    Raises:
        TandemError: of the first process that met one, as it is; or a process was killed.
        WorkerError: anything else.
    """
    rows = config["loader"]["batch_size"]
    log.info("on %d devices, each with a process and a share of every batch of %d", count, rows)
    with TemporaryDirectory(prefix="tandem-") as place:
        job = {
            "config": dict(config),
            "folder": str(folder.absolute()),
            "count": count,
            "place": place,
            "level": logging.getLogger().getEffectiveLevel(),
            "log": [h.baseFilename for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)],
        }
        processes = [_start(job, number) for number in range(count)]
        try:
            failed = _wait(processes)
        finally:
            _end(processes)
        if failed:
            raise _error(failed, Path(place))
    found: dict[str, Any] = read_json(folder / RESULTS)
    return found


def word_of(place: Path, number: int) -> Path:
    """The file in which a device's process says why it failed."""
    return place / f"{number}.json"


def _start(job: Mapping[str, Any], number: int) -> "subprocess.Popen[bytes]":
    threads = max(1, len(os.sched_getaffinity(0)) // job["count"]) if hasattr(os, "sched_getaffinity") else 1
    variables = {
        "OMP_NUM_THREADS": str(threads),
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # DDP warns where no head was unused in the first step
        **os.environ,
        "LOCAL_RANK": str(number),  # from which Lightning takes that the processes exist
        "NODE_RANK": "0",
    }
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, env=variables, bufsize=0)  # noqa: S603 (fixed words)
    assert process.stdin is not None
    try:
        # the pipe stays open: its end tells the process that this one is gone
        process.stdin.write(json.dumps({**job, "number": number}).encode() + b"\n")
    except BrokenPipeError:  # it ended at once; `_wait` will see
        log.debug("the process of device %d took no job", number)
    return process


def _wait(processes: Processes) -> dict[int, int]:
    """Exit codes of the processes that failed, by device; none where all are done."""
    while True:
        codes = [process.poll() for process in processes]
        if any(codes):
            time.sleep(PATIENCE)
            return {number: code for number, process in enumerate(processes) if (code := process.poll())}
        if None not in codes:
            return {}
        time.sleep(LOOK)


def _end(processes: Processes) -> None:
    """Tells what still runs to end, and sees that it does."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    limit = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _error(failed: Mapping[int, int], place: Path) -> Exception:
    """What went wrong first: a killed process, since others notice that it is gone; else what was said first."""
    for number, code in failed.items():
        if code < 0:
            name = signal.Signals(-code).name
            return TandemError(
                f"the process of device {number} was ended by {name} (out of memory?), and the others with it; "
                "the same command goes on where the run stopped"
            )
    said = {number: read_json(word_of(place, number)) for number in failed if word_of(place, number).exists()}
    if not said:
        number, code = next(iter(failed.items()))
        return WorkerError(f"the process of device {number} ended with {code}")
    number, first = min(said.items(), key=lambda item: float(item[1]["time"]))
    kind = getattr(errors, first["type"], None)
    if isinstance(kind, type) and issubclass(kind, TandemError):
        return kind(first["message"])
    error = WorkerError(f"{first['type']}: {first['message']} (device {number})")
    error.__cause__ = _Elsewhere(f"\n{first['traceback']}")
    return error
