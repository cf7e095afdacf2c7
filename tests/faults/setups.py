"""Set-ups of small runs, drawn from what can affect a resume, and runs that are killed in the middle."""

import io
import json
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.train.run import train, train_job
from tandem.utils.atomic import before_replacing

SMALL = (
    *("experiment=tiny", "augment=light", "tasks.classification.dropout=0.3", "trainer.max_epochs=3"),
    *("trainer.enable_progress_bar=false", "callbacks.panels=null", "logger=none", "loader.batch_size=8"),
)
"""Options of every set-up."""

PHANTOM = ("data.train=30", "data.val=12", "data.test=12", "data.seed=3")
MIXED = (
    *("data=mixed", "data.size=32", "data.sources.first.train=14", "data.sources.second.train=16"),
    *(f"data.sources.{name}.{split}=8" for name in ("first", "second") for split in ("val", "test")),
    "data.sources.second.seed=4",
)

CHOICES: dict[str, tuple[tuple[str, ...], ...]] = {
    "data": (PHANTOM, PHANTOM, (*MIXED, "+data.shares={first: 1, second: 2}"), (*PHANTOM, "loader.sampling=balanced")),
    "precision": ((), (), ("trainer.precision=64-true",), ("trainer.precision=bf16-mixed",)),
    "workers": ((), ("loader.workers=1",), ("loader.workers=4",)),
    "callbacks": (
        (),
        ("callbacks=ema",),
        ("callbacks=early_stopping", "callbacks.early_stopping.patience=1", "+callbacks.early_stopping.min_delta=10"),
        ("callbacks.non_finite.policy=rollback", "callbacks.collapse.every=2"),
    ),
    "balance": tuple(
        (f"balance={name}",)
        for name in ("fixed", "uncertainty", "dwa", "famo", "gradnorm", "rlw", "pcgrad", "imtl_g", "nash", "mgda")
    ),
    "accumulation": ((), (), ("trainer.accumulate_grad_batches=2",)),
    "scheduler": ((), ("scheduler=cosine",), ("scheduler=plateau", "scheduler.patience=0", "optimizer.lr=0.1")),
    "length": ((), (), ("+trainer.max_steps=7",), ("+trainer.max_time=00:01:00:00",)),
    "adversary": ((), (), (), ("adversary@tasks.segmentation.adversary=standard",)),
    "penalties": ((), ("penalties=l2",)),
    "checkpoint": ((), ("checkpoint.every_n_steps=1",), ("checkpoint.every_n_steps=2",)),
}
"""What a set-up is drawn from: one entry of each."""


def draw(seed: int) -> list[str]:
    """The options of a drawn set-up, besides `SMALL`."""
    generator = np.random.default_rng(seed)
    return [word for options in CHOICES.values() for word in options[int(generator.integers(len(options)))]]


def composed(words: Sequence[str]) -> DictConfig:
    """The configuration of a set-up."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", [*SMALL, *words])


class Count(pl.Callback):
    """Counts the moments at which a run can be killed, in hooks and before a file is put in its place.

    Args:
        last: the moment at which this process kills itself; None: never.
    """

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.moments = 0

    def reach(self, *_: object) -> None:
        """One more moment."""
        self.moments += 1
        if self.moments == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


HOOKS = (
    *("train_epoch_start", "train_batch_start", "train_batch_end", "validation_epoch_start", "validation_batch_end"),
    *("train_epoch_end", "train_end", "test_epoch_start", "test_batch_end"),
)
for hook in HOOKS:
    setattr(Count, f"on_{hook}", Count.reach)


@contextmanager
def counted(count: Count) -> Iterator[Count]:
    """Counts files as well."""
    before_replacing.append(count.reach)
    try:
        yield count
    finally:
        before_replacing.remove(count.reach)


def run(words: Sequence[str], folder: Path, count: Count | None = None) -> Count:
    """Trains a set-up in this process, from where its folder stands."""
    config = resolve(composed(words))
    with counted(count or Count()) as moments:
        train(config, folder, [moments])
    return moments


def killed(words: Sequence[str], folder: Path, moment: int) -> bool:
    """Trains a set-up in a process of its own, which kills itself at a moment; returns whether it did."""

    def child() -> None:
        logging.disable(logging.CRITICAL)
        torch.set_num_threads(1)
        run(words, folder, Count(moment))
        sys.stdout.flush()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


def again(words: Sequence[str], folder: Path) -> None:
    """Gives a set-up's command once more, in this process."""
    with redirect_stdout(io.StringIO()):
        train_job(composed(words), folder)


@dataclass(frozen=True)
class Left:
    """What a run has left, without how long it took and when."""

    results: dict[str, Any]
    table: bytes
    weights: dict[str, torch.Tensor]

    def differs(self, other: "Left") -> list[str]:
        """Names of what is not equal to the last bit."""
        keys = [key for key in self.results if self.results[key] != other.results.get(key)]
        if self.table != other.table:
            keys.append("metrics.csv")
        same = self.weights.keys() == other.weights.keys()
        if not same or not all(torch.equal(value, other.weights[key]) for key, value in self.weights.items()):
            keys.append("best.ckpt")
        return keys


def left(folder: Path) -> Left:
    """Reads what a finished run has left."""
    results = json.loads((folder / "results.json").read_text())
    for key in ("seconds", "resumed", "config", "git"):
        results.pop(key, None)
    state = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
    tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    return Left(results, (folder / "metrics.csv").read_bytes(), tensors)
