"""One device's process: `python -m tandem.train.ddp_worker`, with a job on its standard input (see `launch`)."""

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

from tandem.train.ddp_launch import MEETING, word_of
from tandem.utils.files import write_json

LONG = timedelta(days=7)
"""How long the devices wait for each other: it is the launching process that notices when one is gone."""


def main() -> None:
    """Does the job, and says why where it cannot."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the launching process, which ends this one
    with open(0, "rb", buffering=0, closefd=False) as given:
        job = json.loads(given.readline())
    threading.Thread(target=_end_with_the_launcher, daemon=True).start()
    try:
        _work(job)
    except BaseException as error:
        # at once: the others notice that this one is gone, and what they say then is not the reason
        said = {"time": time.time(), "type": type(error).__name__, "message": " ".join(str(error).split())}
        write_json(word_of(Path(job["place"]), job["number"]), {**said, "traceback": traceback.format_exc()})
        sys.stdout.flush()
        os._exit(1)  # without the libraries' farewells, which wait for devices that are gone


def _end_with_the_launcher() -> None:
    while os.read(0, 1024):
        continue
    os._exit(1)


def _work(job: Mapping[str, Any]) -> None:
    _speak(job)
    import torch
    import torch.distributed as dist

    from tandem.train.run import train_here

    trainer = job["config"]["trainer"]
    gpu = trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if gpu:
        listed = trainer.get("devices")
        torch.cuda.set_device(listed[job["number"]] if isinstance(listed, list) else job["number"])
    elif sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a machine need not know its own name
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


def _speak(job: Mapping[str, Any]) -> None:
    """Lets the first device's log lines go where those of the launching process go; the others' would be the same."""
    if job["number"]:
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
        return
    logging.basicConfig(level=job["level"], format="%(message)s", stream=sys.stdout)
    for name in job["log"]:
        handler = logging.FileHandler(name)
        handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] %(message)s"))
        logging.getLogger().addHandler(handler)


if __name__ == "__main__":
    main()
