"""What the knobs of launchers may be."""

import os
from collections.abc import Mapping
from typing import Any

from tandem.errors import ConfigError


def check(knobs: Mapping[str, Any]) -> None:
    """Refuses a knob of a launcher that cannot work.

    Args:
        knobs: by name, as they are typed after `hydra.launcher.`.

    Raises:
        ConfigError: it is out of range.

    Example:
        >>> check({"n_jobs": 0})
        Traceback (most recent call last):
        tandem.errors.ConfigError: hydra.launcher.n_jobs is 0, but must be a number of jobs, 1 at least
    """
    rules = {
        "n_jobs": (1, "a number of jobs, 1 at least"),
        "threads": (1, "a number of threads, 1 at least"),
        "cpus_per_task": (1, "a number of cores, 1 at least"),
        "retries": (0, "a number of further attempts, 0 at least"),
        "cpus": (0, "a number of cores, 0 at least"),
        "gpus": (0, "a number of GPUs, 0 at least"),
    }
    for key, (least, words) in rules.items():
        if (value := knobs.get(key)) is not None and value < least:
            raise ConfigError(f"hydra.launcher.{key} is {value}, but must be {words}")
    minutes = knobs.get("timeout_min")
    if minutes is not None and minutes <= 0:
        raise ConfigError(f"hydra.launcher.timeout_min is {minutes}, but must be above 0, or null for no limit")
    devices = knobs.get("devices")
    if devices is not None and (not devices or any(isinstance(device, bool | float) for device in devices)):
        raise ConfigError(
            f"hydra.launcher.devices is {devices}, but must be a list such as [0,1], or null for all of them"
        )


def thread_variables(threads: int | None, n_jobs: int) -> dict[str, str]:
    """The environment variables that give a job its threads.

    Args:
        threads: of each job; None: what the environment says, or else a fair share of the cores.
        n_jobs: that run at a time.
    """
    if threads is None and "OMP_NUM_THREADS" in os.environ:
        return {}
    count = str(threads or max(1, len(os.sched_getaffinity(0)) // n_jobs))
    return {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
