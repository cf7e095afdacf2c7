"""Builds the objects of a training run from its configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.config.instantiate import build, build_each
from tandem.config.metric_nodes import without_shown_as
from tandem.config.monitor import AUTO
from tandem.config.outputs import check_outputs
from tandem.config.resolve import check_loader, flatten
from tandem.errors import ConfigError
from tandem.metrics.declared import declared

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataInfo, DataModule
    from tandem.module import MultiTaskModule
    from tandem.network import SharedNetwork

OWN = ("strategy", "num_nodes", "collective_timeout_min", "share", "sync_batchnorm")
"""Settings of the trainer that are not Lightning's, or that follow from how the processes were started."""

SHIPPED = "tandem.network.make_network"
"""The network that is told the images' size, for which a vision transformer is made."""


def make_data(config: Mapping[str, Any]) -> "DataModule":
    """Builds the data module; no file is read yet."""
    from tandem.data.datamodule import DataModule
    from tandem.data.loading.kept_targets import KeptTargets

    loader = config["loader"]
    check_loader(loader)
    augment = build(config["augment"], "augment") if config["augment"] else None
    source = build(config["data"], "data")
    kept = KeptTargets(**{field.name: loader[field.name] for field in fields(KeptTargets) if field.name in loader})
    return DataModule(
        source, augment, loader["batch_size"], loader["workers"], config["seed"], loader["sampling"], kept
    )


def make_module(config: Mapping[str, Any], info: "DataInfo") -> "MultiTaskModule":
    """Builds network, tasks and balance, with weights drawn from the global random state; no data are read."""
    from tandem.module import MultiTaskModule

    declared(config["tasks"])  # refuses what is no direction or label
    nodes = {name: without_shown_as(node) for name, node in config["tasks"].items()}
    tasks = {name: build(node, f"tasks.{name}", name=name, data=info) for name, node in nodes.items()}
    if not tasks:
        raise ConfigError("no task is configured; choose task=classification, task=segmentation or both")
    dense = any(task.dense for task in tasks.values())
    optimizer = build(config["optimizer"], "optimizer")
    scheduler = build(config["scheduler"], "scheduler") if config["scheduler"] else None
    _try_out(optimizer, scheduler)
    network = _network(config, info.channels, dense)
    optimizer = make_optimizer(config, network)
    module = MultiTaskModule(
        network=network,
        tasks=tasks,
        balance=build(config["balance"], "balance", tasks=tuple(tasks)),
        optimizer=optimizer,
        scheduler=scheduler,
        monitor=config["monitor"],
        seed=config["seed"],
        penalties=build_each(config["penalties"], "penalties"),
    )
    optimizer(module.named_parameters())  # a trial, so that an unknown part in lr_factors is an error now
    return module


def _network(config: Mapping[str, Any], channels: int, dense: bool) -> "SharedNetwork":
    """Builds the shared network; a decoder node is built later, with the encoder, and a custom network is checked."""
    from tandem.network import Network
    from tandem.network.protocol import check_network

    node = config["network"]
    if isinstance(node, Mapping) and isinstance(decoder := node.get("decoder"), Mapping) and "_target_" in decoder:
        node = {**node, "decoder": {**decoder, "_partial_": True}}
    size = image_size(config["data"])
    sized = {"size": size} if node.get("_target_") == SHIPPED else {}
    network = build(node, "network", channels=channels, dense=dense, **sized)
    return network if isinstance(network, Network) else check_network(network, channels, dense, size)


def image_size(data: Mapping[str, Any]) -> int | None:
    """The side of the images, of a source or of the first of several; None if no option says it."""
    sizes = [data.get("size"), *(node.get("size") for node in (data.get("sources") or {}).values())]
    return next((size for size in sizes if isinstance(size, int) and not isinstance(size, bool)), None)


def make_optimizer(config: Mapping[str, Any], network: "SharedNetwork", **more: Any) -> Callable[..., Any]:
    """Builds what makes the optimiser of named parameters, in the groups that `parameters` asks for.

    Args:
        config: the resolved configuration.
        network: the shared network, for the depth of its layers.
        **more: further arguments of the optimiser.
    """
    from tandem.network.layers import layer_factors

    layers = layer_factors(network, config["parameters"].get("layer_decay"))
    return _grouped(build({**config["optimizer"], **more}, "optimizer"), config["parameters"], layers)


def _grouped(make: Callable[..., Any], settings: Mapping[str, Any], layers: Mapping[str, float]) -> Callable[..., Any]:
    """Adds parameter groups to the optimiser; a part may be written as one dotted key or as nested keys."""
    from tandem.optim.param_groups import grouped_optimizer

    factors = settings["lr_factors"] or {}
    if not isinstance(factors, Mapping):
        raise ConfigError(
            f"parameters.lr_factors is {factors!r}, but must map parts to factors, such as {{network.encoder: 0.1}}"
        )
    factors = flatten(factors)
    return partial(grouped_optimizer, make=make, lr_factors=factors, decay_all=settings["decay_all"], layers=layers)


def _try_out(optimizer: Callable[..., Any], scheduler: Callable[..., Any] | None) -> None:
    """Builds both for a single weight, so that a bad value raises before the data are read."""
    from torch import nn, zeros

    trial = optimizer([nn.Parameter(zeros(1, 1))])
    if scheduler is not None:
        scheduler(trial)


def make_trainer(config: Mapping[str, Any], folder: Path, more: "Sequence[pl.Callback]" = ()) -> "pl.Trainer":
    """Builds Lightning's trainer with callbacks and loggers, all of which write into the run's folder.

    Args:
        config: the resolved configuration.
        folder: the run's folder.
        more: further callbacks that are not part of the configuration.
    """
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from pytorch_lightning.callbacks import ProgressBar

    from tandem.callbacks.checkpoint_files import CheckpointFiles
    from tandem.distributed.gather import get_rank, is_distributed
    from tandem.trackers.label import run_label

    placed = _place(config, folder, run_label(folder, config))
    for name in ("callbacks", "trainer"):
        check_outputs(placed[name] or {}, name, folder)
    check_outputs(placed["logger"] or {}, "logger", folder, Path(config["runs"]))
    callbacks = _averaged_last([*_callbacks(placed["callbacks"]).values(), *more])
    # Lightning rejects a bar callback when the bar is switched off, and adds its own when there is none
    shown = placed["trainer"].get("enable_progress_bar", True) and any(isinstance(c, ProgressBar) for c in callbacks)
    settings = {key: value for key, value in placed["trainer"].items() if key not in OWN}  # see `device_count`
    if (
        settings.get("precision") == AUTO
    ):  # until the run has measured it; where nothing is, as in a range test of rates
        settings["precision"] = "32-true"
    trainer: pl.Trainer = build(
        {**settings, "enable_progress_bar": shown, **_devices(settings)},
        "trainer",
        callbacks=[callback for callback in callbacks if shown or not isinstance(callback, ProgressBar)],
        logger=(get_rank() == 0 and list(build_each(placed["logger"], "logger").values())) or False,
        default_root_dir=str(folder),
        plugins=[CheckpointFiles(), *([] if is_distributed() else [LightningEnvironment()])],  # not Slurm's: one job
        **_strategy(),
    )
    if trainer.precision in ("16-true", "bf16-true"):
        raise ConfigError(
            f"trainer.precision is {trainer.precision}, in which sums over pixels lose most of their digits; set "
            f"trainer.precision={trainer.precision.replace('true', 'mixed')}"
        )
    return trainer


def _callbacks(nodes: Mapping[str, Any]) -> "dict[str, pl.Callback]":
    """Builds the callbacks of the configuration, by name."""
    from pytorch_lightning.callbacks import WeightAveraging

    from tandem.callbacks import WeightAverage

    made = build_each(nodes, "callbacks")
    for name, callback in made.items():
        if isinstance(callback, WeightAveraging) and not isinstance(callback, WeightAverage):
            raise ConfigError(
                f"callbacks.{name} is Lightning's {type(callback).__name__}, which tests other weights than it "
                "validates; use callbacks=ema, which validates and tests the averaged weights"
            )
    return made


def _averaged_last(callbacks: "list[pl.Callback]") -> "list[pl.Callback]":
    """Moves weight averaging last: what other callbacks set after validation belongs to the averaged weights."""
    from tandem.callbacks import WeightAverage

    return sorted(callbacks, key=lambda callback: isinstance(callback, WeightAverage))


def _devices(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The number of devices of each machine; empty on a single device."""
    from tandem.distributed.gather import is_distributed

    if not is_distributed():
        return {}
    from tandem.distributed.strategy import device_setting

    return {"devices": device_setting(settings.get("devices"))}


def _strategy() -> dict[str, Any]:
    """Returns the trainer's arguments for distributed training; empty on a single device."""
    from tandem.distributed.gather import is_distributed

    if not is_distributed():
        return {}
    from tandem.distributed.strategy import trainer_settings

    return trainer_settings()


def _place(node: Any, folder: Path, label: str) -> Any:
    """Replaces `{run}` in every string by the run's folder, `{hash}` by its name, and `{label}` by what varies."""
    if isinstance(node, Mapping):
        return {key: _place(value, folder, label) for key, value in node.items()}
    if isinstance(node, list):
        return [_place(value, folder, label) for value in node]
    if isinstance(node, str):
        return node.replace("{run}", str(folder)).replace("{hash}", folder.name).replace("{label}", label)
    return node
