"""The process of one device: `python -m tandem.train.ddp_worker`, with a job on standard input (see `ddp_launch`)."""

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from tandem.train.ddp_launch import MEETING, error_file
from tandem.utils.console import ConsoleHandler
from tandem.utils.files import write_json
from tandem.utils.signals import NAMES

LONG = timedelta(days=7)
"""How long the devices wait for each other; the launching process detects when one is gone."""


def main() -> None:
    """Does the job, or reports the error."""
    for name in ("SIGINT", *NAMES):  # they reach the launching process too, which ends this one
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with open(0, "rb", buffering=0, closefd=False) as given:
        job = json.loads(given.readline())
    threading.Thread(target=_end_with_the_launcher, daemon=True).start()
    try:
        _work(job)
    except BaseException as error:
        # at once: the others will fail because this process is gone, and their errors are not the cause
        reported = {"time": time.time(), "type": type(error).__name__, "message": " ".join(str(error).split())}
        write_json(error_file(Path(job["place"]), job["number"]), {**reported, "traceback": traceback.format_exc()})
        sys.stdout.flush()
        os._exit(1)  # skips the libraries' cleanup, which waits for devices that are gone


def _end_with_the_launcher() -> None:
    while os.read(0, 1024):
        continue
    os._exit(1)


def _work(job: Mapping[str, Any]) -> None:
    _configure_logging(job)
    import torch
    import torch.distributed as dist

    from tandem.train.run import train_here

    trainer = job["config"]["trainer"]
    gpu = trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if gpu:
        listed = trainer.get("devices")
        torch.cuda.set_device(listed[job["number"]] if isinstance(listed, list) else job["number"])
    elif sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the machine's host name may not resolve
    dist.init_process_group(
        "nccl" if gpu else "gloo",
        init_method=f"file://{Path(job['place']) / MEETING}",
        rank=job["number"],
        world_size=job["count"],
        timeout=LONG,
    )
    train_here(job["config"], Path(job["folder"]))
    dist.barrier()
    dist.destroy_process_group()


def _configure_logging(job: Mapping[str, Any]) -> None:
    """Sends rank 0's log lines to the launching process's outputs; silences the other ranks, which log the same."""
    if job["number"]:
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
        return
    logging.basicConfig(level=job["level"], format="%(message)s", handlers=[ConsoleHandler()])
    for name in job["log"]:
        handler = logging.FileHandler(name)
        handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] %(message)s"))
        logging.getLogger().addHandler(handler)


if __name__ == "__main__":
    main()
