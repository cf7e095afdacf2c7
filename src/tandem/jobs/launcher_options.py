"""Checks of the launchers' options."""

import os
from collections.abc import Mapping
from typing import Any

from tandem.errors import ConfigError
from tandem.utils.machine import usable_cores

AUTO = "auto"
"""The word for a number of jobs that is measured."""

TRAINING = "tandem.train"
"""The command whose jobs can be measured."""


def check(options: Mapping[str, Any]) -> None:
    """Checks the options of a launcher.

    Args:
        options: by name, as in `hydra.launcher.NAME=...`.

    Raises:
        ConfigError: an option is out of range.

    Example:
        >>> check({"n_jobs": 0})
        Traceback (most recent call last):
        tandem.errors.ConfigError: hydra.launcher.n_jobs is 0, but must be at least 1
    """
    minimum = {"n_jobs": 1, "threads": 1, "cpus_per_task": 1, "retries": 0, "cpus": 0, "gpus": 0}
    minimum |= {"nodes": 1, "tasks_per_node": 1, "signal_delay_s": 1}
    for key, least in minimum.items():
        value = options.get(key)
        if key == "n_jobs" and not (value is None or value == AUTO or type(value) is int):
            raise ConfigError(f"hydra.launcher.n_jobs is {value!r}, but must be a whole number, or auto with processes")
        if value is not None and value != AUTO and value < least:
            raise ConfigError(f"hydra.launcher.{key} is {value}, but must be at least {least}")
    minutes = options.get("timeout_min")
    if minutes is not None and minutes <= 0:
        raise ConfigError(f"hydra.launcher.timeout_min is {minutes}, but must be above 0, or null for no limit")
    devices = options.get("devices")
    if devices is not None and (not devices or any(isinstance(device, bool | float) for device in devices)):
        raise ConfigError(
            f"hydra.launcher.devices is {devices}, but must be a list such as [0,1], or null for all of them"
        )


def check_measurable(options: Mapping[str, Any], command: str) -> None:
    """Checks the number of jobs of a launcher that can measure it.

    Args:
        options: of the launcher.
        command: the module that runs one job.

    Raises:
        ConfigError: there is none, or it is to be measured and cannot be: only steps of training on CPUs can.
    """
    if options["n_jobs"] is None:
        raise ConfigError("hydra.launcher.n_jobs is null, but must be a whole number, or auto")
    if options["n_jobs"] != AUTO:
        return
    if command != TRAINING:
        raise ConfigError("hydra.launcher.n_jobs=auto measures steps of training; give this command a number")
    if options.get("devices") is not None:
        raise ConfigError(
            "hydra.launcher.n_jobs=auto measures processors, but hydra.launcher.devices names GPUs; give a number"
        )


def thread_variables(threads: int | None, n_jobs: int) -> dict[str, str]:
    """The environment variables that set the number of threads of a job.

    Args:
        threads: of each job; None: that of the environment, or an equal share of the cores.
        n_jobs: number of jobs that run at the same time.
    """
    if threads is None and "OMP_NUM_THREADS" in os.environ:
        return {}
    count = str(threads or max(1, usable_cores() // n_jobs))
    return {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
