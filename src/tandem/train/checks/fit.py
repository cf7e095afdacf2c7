"""Checks of a run whose parts and data are there: targets, monitors, and the network on its smallest batch."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tandem.balance.replay import same_buffers
from tandem.config.suggest import nearest
from tandem.distributed.gather import is_distributed
from tandem.errors import ConfigError, DataError
from tandem.network import Network
from tandem.tasks.target_statistics import has_target
from tandem.train.checks.answers import absent_answers, validated_values

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)

OWN = ("tandem.", "pytorch_lightning.")
"""Packages whose callbacks log only names that these checks know."""


def check_fit(config: Mapping[str, Any], trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule") -> None:
    """Rejects a run that cannot be trained or evaluated with its data; warns of tasks that a split has no targets for.

    Args:
        config: the resolved configuration.
        trainer: with its callbacks.
        module: untrained, with what its losses take from the training targets.
        data: after `setup`.

    Raises:
        DataError: if a task has no target in training, or the monitored value is not defined on validation data.
        ConfigError: if nothing logs a monitored value, or the network cannot process the images or batches.
    """
    _check_targets(config["monitor"], module, data)
    _check_features(module, data)
    if is_distributed():  # the first process has checked the rest, and layers may wait for the others
        return
    with same_buffers(module), torch.random.fork_rng(devices=[]):
        _check_batch(module, data)
        with _evaluation_mode(module):
            _check_monitors(config, trainer, module, data)


@contextmanager
def _evaluation_mode(module: "MultiTaskModule") -> Iterator[None]:
    """Sets evaluation mode for a while: what only training adds, such as an adversary's term, is no validated value."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _check_targets(monitor: str, module: "MultiTaskModule", data: "DataModule") -> None:
    for name, task in module.tasks.items():
        for split, samples in data.splits.items():
            if has_target(task, samples):
                continue
            if split == "train":
                raise DataError(
                    f"no image of the split 'train' has a target for task '{name}', so it would learn nothing; add "
                    "such images, or leave the task out of task=[...]"
                )
            if split == "val" and monitor.split("/")[1] == name:
                raise DataError(
                    f"no image of the split 'val' has a target for task '{name}', but {monitor} selects the best "
                    "epoch; add such images, or set monitor=val/... and mode=... for another task"
                )
            log.warning(
                "no image of the split '%s' has a target for task '%s', so the run will have no %s/%s/... values",
                split, name, split, name,
            )  # fmt: skip


def _check_features(module: "MultiTaskModule", data: "DataModule") -> None:
    """Rejects features that do not fit into memory; says how much those that do will take."""
    network = module.network
    if not isinstance(network, Network) or network.cache is None:
        return
    image = network.prepare(data.splits["train"].take([0])["image"])
    with _evaluation_mode(module):
        each = network.cache.bytes_of(network.encoder, network.decoder, image)
    count = sum(map(len, data.splits.values()))
    needed, limit = count * each, network.cache.limit
    if needed > limit:
        raise ConfigError(
            f"network.cache_features=true needs {needed / 1e9:.2f} GB of memory for features of {count} images, but "
            f"{limit / 1e9:.2f} GB (half of what is free) may be used; lower data.size, or set it to false"
        )
    log.info("features of %d images are computed once and kept in memory, up to %.1f MB", count, needed / 1e6)


def _check_batch(module: "MultiTaskModule", data: "DataModule") -> None:
    """Runs a forward pass in training mode on the smallest batch, in which normalisation or small feature maps fail."""
    samples = data.splits["train"]
    rows = min(len(samples), data.batch_size, 2)  # the loader drops a last batch of one row
    try:
        with torch.no_grad():
            module(samples.take(range(rows))["image"])
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        height, width = samples.images.shape[-2:]
        reason = " ".join(str(error).split())
        fix = (
            "batch normalisation needs more than one value for each channel, so raise loader.batch_size or data.size"
            if rows == 1
            else "raise data.size, or choose another network"
        )
        raise ConfigError(
            f"the network cannot be trained on a batch of {rows} images of {height} x {width} ({reason}); {fix}"
        ) from error


def _check_monitors(
    config: Mapping[str, Any], trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule"
) -> None:
    """Rejects names that nothing will log, and a monitored value that validation data cannot define."""
    samples = data.splits["val"]
    judged = [name for name, task in module.tasks.items() if has_target(task, samples)]
    values = {name: validated_values(trainer, module, samples, name) for name in judged}
    logged = {"val/loss", *(key for found, _ in values.values() for key in found)}
    if all(type(callback).__module__.startswith(OWN) for callback in trainer.callbacks):  # type: ignore[attr-defined]
        for key, monitor in _monitors(config):
            known = logged if monitor.startswith("val/") else logged | set(_in_training(config, module, logged))
            if monitor not in known:
                raise ConfigError(f"{key} is '{monitor}', which nothing logs: {nearest(monitor, known)}")
    owner = config["monitor"].split("/")[1]
    found, perfect = values.get(owner, ({}, False))
    if perfect and math.isnan(found.get(config["monitor"], 0.0)):
        whole, _ = validated_values(trainer, module, samples, owner, every_row=True)
        if math.isnan(whole[config["monitor"]]):
            absent = ", ".join(absent_answers(module.tasks[owner], samples)) or "no such case"
            raise DataError(
                f"{config['monitor']} is not defined on the split 'val' even for perfect answers (it never shows: "
                f"{absent}), so it cannot choose the best epoch; add such images to 'val', or set monitor=val/loss"
            )


def _monitors(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every option that names a logged value, with the value."""
    yield "monitor", config["monitor"]
    for name, node in (config["callbacks"] or {}).items():
        if isinstance(node, Mapping) and isinstance(node.get("monitor"), str):
            yield f"callbacks.{name}.monitor", node["monitor"]


def _in_training(config: Mapping[str, Any], module: "MultiTaskModule", logged: set[str]) -> Iterator[str]:
    """Names that are logged of the training split."""
    yield from (key.replace("val/", "train/", 1) for key in logged)
    yield "train/step_loss"
    for name, task in module.tasks.items():
        yield from (f"train/{name}/step_loss", f"train/{name}/weight")
        yield from (f"train/{name}/weight/{term}" for term in task.weights())
    yield from (f"train/penalty/{name}" for name in config["penalties"] or {})
