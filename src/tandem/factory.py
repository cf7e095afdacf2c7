"""From a whole configuration to the objects of a training run."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.config.instantiate import build, build_each
from tandem.config.outputs import check_outputs
from tandem.config.resolve import flatten
from tandem.errors import ConfigError

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataInfo, DataModule
    from tandem.module import MultiTaskModule


def make_data(config: Mapping[str, Any]) -> "DataModule":
    """The data module; files are not touched yet."""
    from tandem.data.datamodule import DataModule

    loader = config["loader"]
    if loader["batch_size"] < 1:
        raise ConfigError(f"loader.batch_size is {loader['batch_size']}, but must be at least 1")
    if loader["workers"] < 0:
        raise ConfigError(f"loader.workers is {loader['workers']}, but must be at least 0")
    if loader["workers"] > (most := max(16, 4 * (os.cpu_count() or 1))):
        raise ConfigError(
            f"loader.workers is {loader['workers']}, but this machine has {os.cpu_count()} cores; give {most} at most"
        )
    augment = build(config["augment"], "augment") if config["augment"] else None
    source = build(config["data"], "data")
    return DataModule(
        source, augment, loader["batch_size"], loader["workers"], config["seed"], sampling=loader["sampling"]
    )


def make_module(config: Mapping[str, Any], info: "DataInfo") -> "MultiTaskModule":
    """Network, tasks and balance, with weights drawn from the global seed; the data themselves are not needed."""
    from tandem.module import MultiTaskModule

    tasks = {name: build(node, f"tasks.{name}", name=name, data=info) for name, node in config["tasks"].items()}
    if not tasks:
        raise ConfigError("there is no task; choose task=classification, task=segmentation or both")
    dense = any(task.dense for task in tasks.values())
    optimizer = build(config["optimizer"], "optimizer")
    scheduler = build(config["scheduler"], "scheduler") if config["scheduler"] else None
    _try_out(optimizer, scheduler)
    optimizer = _grouped(optimizer, config["parameters"])
    module = MultiTaskModule(
        network=build(config["network"], "network", channels=info.channels, dense=dense),
        tasks=tasks,
        balance=build(config["balance"], "balance", tasks=tuple(tasks)),
        optimizer=optimizer,
        scheduler=scheduler,
        monitor=config["monitor"],
        seed=config["seed"],
        penalties=build_each(config["penalties"], "penalties"),
    )
    optimizer(module.named_parameters())  # tried out, so that a part that is not there is refused now
    return module


def _grouped(make: Callable[..., Any], settings: Mapping[str, Any]) -> Callable[..., Any]:
    """The optimiser with its groups; a part may be written as one dotted key or as nested ones."""
    from tandem.optim.param_groups import grouped_optimizer

    factors = settings["lr_factors"] or {}
    if not isinstance(factors, Mapping):
        raise ConfigError(
            f"parameters.lr_factors is {factors!r}, but must be a dict of parts, such as {{network.encoder: 0.1}}"
        )
    factors = flatten(factors)
    return partial(grouped_optimizer, make=make, lr_factors=factors, decay_all=settings["decay_all"])


def _try_out(optimizer: Callable[..., Any], scheduler: Callable[..., Any] | None) -> None:
    """Makes both for a single weight, so that a bad value is refused now and not after the data were read."""
    from torch import nn, zeros

    trial = optimizer([nn.Parameter(zeros(1, 1))])
    if scheduler is not None:
        scheduler(trial)


def make_trainer(config: Mapping[str, Any], folder: Path, more: "Sequence[pl.Callback]" = ()) -> "pl.Trainer":
    """Lightning's trainer with callbacks and loggers, all of which write into the run's folder.

    Args:
        config: the resolved configuration.
        folder: the run's folder.
        more: callbacks that are no setting of the run.
    """
    from pytorch_lightning.callbacks import ProgressBar

    from tandem.distributed.gather import get_rank

    placed = _place(config, folder)
    for name in ("callbacks", "trainer"):
        check_outputs(placed[name] or {}, name, folder)
    check_outputs(placed["logger"] or {}, "logger", folder, Path(config["runs"]))
    callbacks = _averaged_last([*_callbacks(placed["callbacks"]).values(), *more])
    # Lightning refuses a bar that was switched off, and puts up its own where there is none
    shown = placed["trainer"].get("enable_progress_bar", True) and any(isinstance(c, ProgressBar) for c in callbacks)
    settings = {key: value for key, value in placed["trainer"].items() if key != "strategy"}  # see `device_count`
    trainer: pl.Trainer = build(
        {**settings, "enable_progress_bar": shown},
        "trainer",
        callbacks=[callback for callback in callbacks if shown or not isinstance(callback, ProgressBar)],
        logger=(get_rank() == 0 and list(build_each(placed["logger"], "logger").values())) or False,
        default_root_dir=str(folder),
        **_strategy(),
    )
    if trainer.precision in ("16-true", "bf16-true"):
        raise ConfigError(
            f"trainer.precision is {trainer.precision}, in which sums over pixels would lose most of their digits; set "
            f"trainer.precision={trainer.precision.replace('true', 'mixed')}"
        )
    return trainer


def _callbacks(nodes: Mapping[str, Any]) -> "dict[str, pl.Callback]":
    """Those of the configuration, by name."""
    from pytorch_lightning.callbacks import WeightAveraging

    from tandem.callbacks import WeightAverage

    made = build_each(nodes, "callbacks")
    for name, callback in made.items():
        if isinstance(callback, WeightAveraging) and not isinstance(callback, WeightAverage):
            raise ConfigError(
                f"callbacks.{name} is Lightning's {type(callback).__name__}, which would test other weights than it "
                "validates; callbacks=ema averages the weights that are tested"
            )
    return made


def _averaged_last(callbacks: "list[pl.Callback]") -> "list[pl.Callback]":
    """What another callback sets at a validation's end, such as a threshold, belongs to the averaged weights."""
    from tandem.callbacks import WeightAverage

    return sorted(callbacks, key=lambda callback: isinstance(callback, WeightAverage))


def _strategy() -> dict[str, Any]:
    """How the trainer works where this process is that of one of several devices."""
    from tandem.distributed.gather import is_distributed

    if not is_distributed():
        return {}
    from tandem.distributed.strategy import trainer_settings

    return trainer_settings()


def _place(node: Any, folder: Path) -> Any:
    """The same containers with `{run}` and `{hash}` in any text replaced by the run's folder and its name, its hash."""
    if isinstance(node, Mapping):
        return {key: _place(value, folder) for key, value in node.items()}
    if isinstance(node, list):
        return [_place(value, folder) for value in node]
    if isinstance(node, str):
        return node.replace("{run}", str(folder)).replace("{hash}", folder.name)
    return node
