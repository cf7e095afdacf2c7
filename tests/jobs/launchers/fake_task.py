"""A task that ends in any way that it is asked to, in no time: run through tandem's own command line."""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tandem.cli import run
from tandem.config.resolve import resolve
from tandem.jobs.status import SWEEP_VARIABLE
from tandem.utils.files import write_json, write_text

SEEDS = {"raise": 100, "kill": 101, "crash": 102, "hang": 103, "exit": 104}
"""What a seed asks for; any other seed is a job that finishes."""


def fake_job(config: DictConfig, folder: Path) -> float:
    """Counts its attempts, does what its seed asks for, and leaves results."""
    if (folder / "results.json").exists():
        return 0.0
    with (folder / "attempts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    print("about to do it", flush=True)  # noqa: T201
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    asked = next((name for name, seed in SEEDS.items() if seed == config.seed), "")
    if not os.environ.get("FAKE_GOOD"):
        _do(asked)
    plain = resolve(config)
    kept = {key: os.environ.get(key) for key in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "TANDEM_ALLOW")}
    more: dict[str, Any] = {"environment": kept, "directory": str(Path.cwd()), "sweep": os.environ.get(SWEEP_VARIABLE)}
    metrics = {str(plain["monitor"]): plain["seed"] / 1000}
    write_json(folder / "results.json", {"hash": folder.name, "metrics": metrics, "config": plain, **more})
    write_text(folder / "report.html", "")
    return 0.0


def _do(asked: str) -> None:
    if asked == "raise":
        raise ValueError("no luck")
    if asked == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if asked == "crash":
        ctypes.string_at(0)
    if asked == "hang":
        time.sleep(600)
    if asked == "exit":
        raise SystemExit(3)


def main() -> None:
    """The command."""
    run(fake_job, "train")


if __name__ == "__main__":
    main()
