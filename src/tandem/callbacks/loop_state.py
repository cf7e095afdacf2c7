"""Lightning's own state of a training loop, as a checkpoint holds it: the one place that knows its private parts.

Lightning restores the state of the moment at which a checkpoint was saved, inside of a hook, and then guesses which
hooks still have to run. With `trainer.max_steps` it guesses wrong. Here the state is set to that after the hook, before
Lightning reads it: at the start of an epoch, or after a batch.
"""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

Counters = dict[str, int]


def within_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was saved after a batch, and not at the end of an epoch."""
    current = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    return bool(current["processed"] < current["ready"])


def settle(checkpoint: Mapping[str, Any]) -> int:
    """Changes the loop state in a checkpoint to that of a loop which starts an epoch, or goes on after a batch.

    Args:
        checkpoint: as read; its entry `loops` is changed.

    Returns:
        Number of batches of the current epoch that are done; 0 at the start of an epoch.
    """
    loops = checkpoint["loops"]["fit_loop"]
    epochs, batches = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
    within = within_epoch(checkpoint)
    for which in ("total", "current"):
        _all(epochs[which], epochs[which]["processed"])
        _all(batches[which], batches[which]["processed"])
    if not within:
        _all(batches["current"], 0)
    batches["is_last_batch"] = False
    done: int = batches["current"]["ready"]
    return done


def start(trainer: pl.Trainer, done: int) -> None:
    """Sets whether the loop goes on inside of an epoch; to be called when training starts.

    Args:
        trainer: whose loop state was changed by `settle`.
        done: what `settle` returned.
    """
    loop = trainer.fit_loop.epoch_loop
    loop.restarting = done > 0
    loop.reset_restart_stage()
    loop.val_loop.restarting = False


def between_steps(trainer: pl.Trainer) -> bool:
    """Whether a checkpoint may be saved after this batch: gradients are not under way, and the epoch goes on."""
    loop = trainer.fit_loop.epoch_loop
    ends = trainer.is_last_batch or trainer.should_stop or loop.global_step == loop.max_steps
    return not ends and loop.batch_progress.current.ready % trainer.accumulate_grad_batches == 0


def running_means(trainer: pl.Trainer) -> dict[str, tuple[Tensor, Tensor]]:
    """Sum and count of each value whose mean over the epoch is logged."""
    return {
        key: (metric.value.clone(), metric.cumulated_batch_size.clone())
        for key, metric in trainer.fit_loop.epoch_loop._results.items()
        if metric.meta.on_epoch and metric.is_tensor and metric.meta.is_mean_reduction and metric.update_called
    }


def add_running_means(trainer: pl.Trainer, means: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Adds what `running_means` returned to each value that was logged since, and removes it from the argument.

    Called after each batch: a value is added to the first logged one, and addition of two numbers commutes.
    """
    results = trainer.fit_loop.epoch_loop._results
    for key in [key for key in means if key in results and results[key].update_called]:
        total, count = means.pop(key)
        metric = results[key]
        metric.value = total.to(metric.value.device) + metric.value
        metric.cumulated_batch_size = count.to(metric.cumulated_batch_size.device) + metric.cumulated_batch_size


def _all(counters: Counters, value: int) -> None:
    counters.update(dict.fromkeys(counters, value))
