"""Starts one process per device of a run, and ends all of them if one fails."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tandem import errors
from tandem.errors import TandemError
from tandem.utils.artifacts import RESULTS
from tandem.utils.digests import read_artifact
from tandem.utils.files import read_json
from tandem.utils.machine import usable_cores

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "tandem.train.ddp_worker")
"""The command that is run for each device."""

PLACE = ".devices"
"""Folder in that of the run, for files that last as long as the processes; after a kill the next start removes it."""

MEETING = "meeting"
"""File through which the processes find each other."""

POLL = 0.05
"""Seconds between two checks of the processes."""

PATIENCE = 1.0
"""Seconds that the other processes have to report an error after one has failed; the earliest error counts."""

GRACE = 10.0
"""Seconds that processes have to end on request; then they are killed."""

Processes = Sequence["subprocess.Popen[bytes]"]


class WorkerError(Exception):
    """An unexpected error in the process of one of several devices."""


class _Elsewhere(Exception):  # noqa: N818 (a traceback, shown as the cause)
    """The traceback of another process."""


def train_on_devices(config: Mapping[str, Any], folder: Path, count: int) -> dict[str, Any]:
    """Trains in several processes, one per device, and waits for them.

    The processes are new and get the resolved configuration. The command line is not run again, so this works both
    alone and in a sweep. The processes end when this process ends, however it ends.

    Args:
        config: the resolved configuration.
        folder: the run's folder.
        count: number of devices.

    Returns:
        The content of `results.json`.

    Raises:
        TandemError: the error of the first process that raised one; or if a process was killed.
        WorkerError: if a process raised any other error.
    """
    rows = config["loader"]["batch_size"]
    log.info("training on %d devices, one process each; every batch of %d is divided among them", count, rows)
    with _place(folder) as place:
        job = {
            "config": dict(config),
            "folder": str(folder.absolute()),
            "count": count,
            "place": str(place),
            "level": logging.getLogger().getEffectiveLevel(),
            "log": [h.baseFilename for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)],
        }
        processes = [_start(job, number) for number in range(count)]
        try:
            failed = _wait(processes)
        finally:
            _end(processes)
        if failed:
            raise _error(failed, place)
    found: dict[str, Any] = read_artifact(folder / RESULTS)
    return found


@contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """An empty folder in that of the run, which this process alone works on."""
    place = folder.absolute() / PLACE
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def error_file(place: Path, number: int) -> Path:
    """Returns the file in which a device's process reports its error."""
    return place / f"{number}.json"


def _start(job: Mapping[str, Any], number: int) -> "subprocess.Popen[bytes]":
    threads = max(1, usable_cores() // job["count"])
    variables = {
        "OMP_NUM_THREADS": str(threads),
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # DDP warns if no head was unused in the first step
        **os.environ,
        "LOCAL_RANK": str(number),  # tells Lightning that the processes exist
        "NODE_RANK": "0",
    }
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, env=variables, bufsize=0)  # noqa: S603 (fixed words)
    assert process.stdin is not None
    try:
        # the pipe stays open: when it closes, the process knows that this one is gone
        process.stdin.write(json.dumps({**job, "number": number}).encode() + b"\n")
    except BrokenPipeError:  # it ended at once; `_wait` detects that
        log.debug("the process of device %d ended before it got its job", number)
    return process


def _wait(processes: Processes) -> dict[int, int]:
    """Returns the exit codes of failed processes, by device; empty when all are done."""
    while True:
        codes = [process.poll() for process in processes]
        if any(codes):
            time.sleep(PATIENCE)
            return {number: code for number, process in enumerate(processes) if (code := process.poll())}
        if None not in codes:
            return {}
        time.sleep(POLL)


def _end(processes: Processes) -> None:
    """Ends the processes that still run, by force if needed."""
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
    """Returns the first cause: a killed process, whose loss the others would report; otherwise the earliest error."""
    for number, code in failed.items():
        if code < 0:
            name = signal.Signals(-code).name
            return TandemError(
                f"the process of device {number} was ended by {name} (out of memory?), so the others were stopped; "
                "rerun the same command to resume"
            )
    reported = {number: read_json(error_file(place, number)) for number in failed if error_file(place, number).exists()}
    if not reported:
        number, code = next(iter(failed.items()))
        return WorkerError(f"the process of device {number} ended with {code}")
    number, first = min(reported.items(), key=lambda item: float(item[1]["time"]))
    kind = getattr(errors, first["type"], None)
    if isinstance(kind, type) and issubclass(kind, TandemError):
        return kind(first["message"])
    error = WorkerError(f"{first['type']}: {first['message']} (device {number})")
    error.__cause__ = _Elsewhere(f"\n{first['traceback']}")
    return error
