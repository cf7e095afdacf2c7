"""How many devices a run uses; torch is imported only where it is needed."""

from collections.abc import Mapping
from typing import Any

from tandem.config.instantiate import resolve_target
from tandem.config.slots import slot_at
from tandem.distributed.world import World, world
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
    trainer, started = config["trainer"], world()
    strategy = trainer.get("strategy", "auto")
    if strategy not in ("auto", "ddp", None):
        raise ConfigError(
            f"trainer.strategy is {strategy}, but several devices use ddp, and one device needs no strategy; "
            "remove it, and set trainer.devices"
        )
    nodes = trainer.get("num_nodes", 1)
    if started.size > 1:
        _check_started(trainer, nodes, started)
    elif nodes != 1:
        raise ConfigError(
            f"trainer.num_nodes is {nodes}, but this process was started alone; start the run on each machine, with "
            f"torchrun --nnodes={nodes} or srun --nodes={nodes}"
        )
    count = started.size if started.size > 1 else _devices(trainer)
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
    if count > 1 and trainer.get("share") == "none":
        _check_own_losses(trainer, config.get("balance") or {})
    return count


def _check_own_losses(trainer: Mapping[str, Any], balance: Mapping[str, Any]) -> None:
    """A balance that learns from the losses of the whole batch would learn something else on each device.

    Synchronised layers wait for a backward pass of all devices, but a device without targets of a task has none.
    """
    if trainer.get("sync_batchnorm", True):
        raise ConfigError(
            "trainer.share is none, so a device without targets would leave the others waiting in a synchronised batch "
            "normalisation; set trainer.sync_batchnorm=false too"
        )
    if "_target_" not in balance:
        return
    method = resolve_target(balance["_target_"], "balance", slot_at("balance"))
    if getattr(method, "whole_batch", False):
        raise ConfigError(
            f"trainer.share is none, but the balance {method.__name__} needs the losses of the whole batch, and each "
            "device has only its own; set trainer.share=rows, or balance=fixed"
        )


def _check_started(trainer: Mapping[str, Any], nodes: Any, started: World) -> None:
    """Processes that were started elsewhere are as many as asked for; 1, the default, asks for as many as there are."""
    devices = 1 if trainer.get("devices") in ALL else _devices(trainer)
    for key, asked, found, what in (
        ("devices", devices, started.here, "processes on each machine"),
        ("num_nodes", nodes, started.size // started.here, "machines"),
    ):
        if asked not in (1, found):
            raise ConfigError(
                f"trainer.{key} is {trainer[key]}, but {started.starter} started {found} {what}; leave trainer.{key} "
                "out, or start as many"
            )


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
