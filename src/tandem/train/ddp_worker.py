"""The process of one device: `python -m tandem.train.ddp_worker`, with a job on standard input (see `ddp_launch`)."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.distributed.world import joined, note, world
from tandem.train.ddp_launch import FAILURE, MEETING
from tandem.utils.console import ConsoleHandler, silence
from tandem.utils.files import write_json
from tandem.utils.signals import NAMES

LONG = 7 * 24 * 60.0
"""Minutes that the devices wait for each other; the launching process detects when one is gone."""


def main() -> None:
    """Does the job, or reports the first failure of all processes."""
    for name in ("SIGINT", *NAMES):  # they reach the launching process too, which ends this one
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with open(0, "rb", buffering=0, closefd=False) as given:
        job = json.loads(given.readline())
    threading.Thread(target=_end_with_the_launcher, daemon=True).start()
    _configure_logging(job)
    from tandem.train.run import train_here

    config, place = job["config"], Path(job["place"])
    try:
        with joined({**config["trainer"], "collective_timeout_min": LONG}, f"file://{place / MEETING}"):
            train_here(config, Path(job["folder"]))
    except BaseException as error:
        # at once: the others will fail because this process is gone, and their errors are not the cause
        if not (first := note(error))["gone"]:
            write_json(place / FAILURE, first)
        sys.stdout.flush()
        os._exit(1)  # skips the libraries' cleanup, which waits for devices that are gone


def _end_with_the_launcher() -> None:
    while os.read(0, 1024):
        continue
    os._exit(1)


def _configure_logging(job: Mapping[str, Any]) -> None:
    """Sends rank 0's log lines to the launching process's outputs; silences the other ranks, which log the same."""
    if world().rank:
        silence()
        return
    logging.basicConfig(level=job["level"], format="%(message)s", handlers=[ConsoleHandler()])
    for name in job["log"]:
        handler = logging.FileHandler(name)
        handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] %(message)s"))
        logging.getLogger().addHandler(handler)


if __name__ == "__main__":
    main()
