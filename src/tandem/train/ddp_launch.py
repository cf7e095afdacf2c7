"""Starts one process per device of a run on this machine, as torchrun would, and ends all of them if one fails."""

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

from tandem.distributed.world import ProcessError, as_error
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

MEETING, FAILURE = "meeting", "failure.json"
"""Files through which the processes find each other, and in which they report which of them failed first, and how."""

POLL = 0.05
"""Seconds between two checks of the processes."""

PATIENCE = 1.0
"""Seconds that the others have to end after one has failed, to see which of them was killed."""

GRACE = 10.0
"""Seconds that processes have to end on request; then they are killed."""

Processes = Sequence["subprocess.Popen[bytes]"]


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
        ProcessError: if a process raised any other error.
    """
    rows = config["loader"]["batch_size"]
    log.info("training on %d devices, one process each; every batch of %d is divided among them", count, rows)
    with _place(folder) as place:
        job = {
            "config": dict(config),
            "folder": str(folder.absolute()),
            "place": str(place),
            "level": logging.getLogger().getEffectiveLevel(),
            "log": [h.baseFilename for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)],
        }
        processes = [_start(job, number, count) for number in range(count)]
        try:
            failed = _wait(processes)
        finally:
            _end(processes)
        if failed:
            raise _error(failed, place / FAILURE)
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


def _start(job: Mapping[str, Any], number: int, count: int) -> "subprocess.Popen[bytes]":
    ranks = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "GROUP_RANK": 0}
    threads = {"OMP_NUM_THREADS": str(max(1, usable_cores() // count))}
    variables = {**threads, **os.environ, **{key: str(value) for key, value in ranks.items()}}
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, env=variables, bufsize=0)  # noqa: S603 (fixed words)
    assert process.stdin is not None
    try:
        # the pipe stays open: when it closes, the process knows that this one is gone
        process.stdin.write(json.dumps(job).encode() + b"\n")
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


def _error(failed: Mapping[int, int], report: Path) -> Exception:
    """Returns the first cause: a killed process, whose loss the others would report; otherwise the first failure."""
    for number, code in failed.items():
        if code < 0:
            name = signal.Signals(-code).name
            return TandemError(
                f"the process of device {number} was ended by {name} (out of memory?), so the others were stopped; "
                "rerun the same command to resume"
            )
    if report.exists():
        return as_error(read_json(report))
    number, code = next(iter(failed.items()))
    return ProcessError(f"the process of device {number} ended with {code}")
