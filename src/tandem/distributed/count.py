"""How many devices a run uses; torch is imported only where it is needed."""

import os
from collections.abc import Mapping
from typing import Any

from tandem.errors import ConfigError

ALL = ("auto", "-1", -1)
"""Values of `trainer.devices` besides a number or a list of GPUs: all GPUs; a CPU is one device."""


def device_count(config: Mapping[str, Any]) -> int:
    """How many devices a run uses, each with its own process.

    Args:
        config: the resolved configuration, of which `trainer`, `loader` and `checkpoint` are read.

    Raises:
        ConfigError: options that several devices do not support.

    Example:
        >>> device_count({"trainer": {"devices": 2}, "loader": {"batch_size": 16}})
        2
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, as torchrun sets it, so the run would be trained several times "
            "at once; start it with plain python, which starts one process for each of trainer.devices"
        )
    trainer = config["trainer"]
    strategy = trainer.get("strategy", "auto")
    if strategy not in ("auto", "ddp", None):
        raise ConfigError(
            f"trainer.strategy is {strategy}, but several devices use ddp, and one device needs no strategy; "
            "remove it, and set trainer.devices"
        )
    if trainer.get("num_nodes", 1) != 1:
        raise ConfigError(
            f"trainer.num_nodes is {trainer['num_nodes']}, but a run is on one machine; "
            "spread the runs of a study over machines instead (hydra/launcher=submitit_slurm or ray)"
        )
    count = _devices(trainer)
    batch = config["loader"]["batch_size"]
    if count > batch >= 1:  # the loader reports fewer than one row
        raise ConfigError(
            f"trainer.devices is {count}, more than the {batch} rows of loader.batch_size, which they share; "
            "raise the one or lower the other"
        )
    steps = (config.get("checkpoint") or {}).get("every_n_steps")
    if count > 1 and steps is not None:  # each process has meters of its own inside of an epoch
        raise ConfigError(
            f"checkpoint.every_n_steps is {steps}, but a run on {count} devices is saved at the end of each epoch; set "
            "it to null, or trainer.devices=1"
        )
    return count


def _devices(trainer: Mapping[str, Any]) -> int:
    given = trainer.get("devices", "auto")
    if given in ALL:
        return 1 if trainer.get("accelerator") == "cpu" else _gpus()
    if isinstance(given, list):
        return len(given)
    text = str(given)
    if "," in text:  # Lightning reads 0,1 as the GPUs of these numbers
        return len([part for part in text.split(",") if part.strip()])
    if not text.isdigit() or isinstance(given, bool) or int(text) < 1:
        raise ConfigError(f"trainer.devices is {given!r}, but must be a number of at least 1, a list of GPUs, or auto")
    return int(text)


def _gpus() -> int:
    import torch

    return max(1, torch.cuda.device_count())
