"""Seconds of an epoch, training and validation: tandem against loops of others on the same network and images.

All run in one process and in turns, on images in memory; the first epoch of a turn is not counted, and no pair of
epochs is left out. A ratio is the median over pairs of epochs of the same round. Ours is what `tandem-train` does by
default: metrics, the watch for collapse, panels, confusion matrices, checkpoints.

* by hand: losses of torch, no log; validation finds the best Dice over 81 thresholds with comparisons.
* DataLoader + torchvision: the same loop with augmentation, image by image, with 0 and with 2 workers.
* bare Lightning: nothing but the loss; as fast as anything in Lightning can be.
* logs each step: as the Lightning-Hydra template writes it, with metrics of torchmetrics, updated and logged in each
  step, and a binned curve for the best Dice.
* MONAI: SupervisedTrainer and its evaluator with their metrics; needs the package `pytorch-ignite`.

Memory is what torch's allocator holds at most in an epoch of training, beyond what it held before.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import torch
from tests.benchmarks import step_peers as peers
from tests.benchmarks.harness import Row, at_most, in_turns, not_measured, paired
from tests.benchmarks.memory import Peak
from tests.benchmarks.step_peers import Epoch
from torch import nn
from torch.utils.data import DataLoader

import tandem
from tandem.data.batch import Batch
from tandem.data.loading.loading import loader
from tandem.factory import make_data, make_module
from tandem.train.run import train
from tandem.utils.machine import native_bfloat16

IMAGES = {64: (600, 32), 128: (160, 16), 256: (64, 16)}
"""Images and batch by side in pixels."""

EPOCHS = 4
"""Of one turn; the first is not counted."""

TURNS = 4
"""Of each: twelve pairs of epochs."""

BARS = {64: 0.97, 128: 0.99, 256: 0.99}
"""Least ratio of speeds to the loop by hand, by side."""

AUTO_BAR = 1.6
"""Least ratio of speeds of `performance=auto` to `exact`, where the processor multiplies bfloat16 itself."""

NEVER_SLOWER = 0.97
"""The same elsewhere: what noise makes of 1."""

MEMORY_BAR = 1.05

WORKERS = (0, 2)

OURS, AUTO, LIGHT, HAND, BARE, LOGS, MONAI = (
    "tandem", "performance=auto", "tandem, light", "by hand", "bare Lightning", "logs each step", "MONAI",
)  # fmt: skip
VISION = "DataLoader + torchvision"

Taken = Mapping[str, Sequence[Epoch]]


def rows() -> list[Row]:
    """The comparisons at each size."""
    return [row for side in IMAGES for row in compared(side)]


def compared(side: int) -> list[Row]:
    """The rows of one size; the smallest, that of `experiment=demo`, has all peers."""
    # the choice of `performance=auto` is measured in the first of its turns, and kept in the cache for the others
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"TANDEM_CACHE": f"{folder}/cache"}):
        setting = Setting(side, Path(folder))
        turns = setting.turns(whole=side == min(IMAGES))
        taken = in_turns(turns, TURNS)
        memory = setting.memory()
    found = [
        training(f"{side} px: training", taken, HAND, BARS[side]),
        training(f"{side} px: training", taken, BARE),
        training(f"{side} px: training, the ceiling", taken, HAND, ours=BARE),
        validation(f"{side} px: validation", taken, HAND),
        at_most(f"{side} px: memory of training", memory[OURS], {HAND: memory[HAND]}, MEMORY_BAR, "MiB"),
    ]
    return [*found, *demo_rows(f"{side} px", taken)] if side == min(IMAGES) else found


def demo_rows(where: str, taken: Taken) -> list[Row]:
    """What is compared at the size of `experiment=demo` alone."""
    least = AUTO_BAR if native_bfloat16() else NEVER_SLOWER
    both = f"{where}: training and validation"
    found = [
        *(training(f"{where}: training, augmented", taken, vision(workers), 1.0, LIGHT) for workers in WORKERS),
        training(f"{where}: training, performance=auto", taken, OURS, least, AUTO),
    ]
    for peer in (LOGS, MONAI):
        if peer in taken:
            found += [whole(both, taken, peer, 1.1), whole(f"{both}, performance=auto", taken, peer, 1.7, AUTO)]
        else:
            found.append(not_measured(both, peer, "needs pip install pytorch-ignite"))
    return found


def vision(workers: int) -> str:
    """The peer's name."""
    return f"{VISION}, {workers} workers"


def training(what: str, taken: Taken, peer: str, least: float | None = None, ours: str = OURS) -> Row:
    """Ours against a peer, by the training of epochs."""
    one, other = ([train for train, _ in taken[name]] for name in (ours, peer))
    return paired(what, peer, one, other, least)


def validation(what: str, taken: Taken, peer: str) -> Row:
    """By the validation of epochs."""
    one, other = ([val for _, val in taken[name]] for name in (OURS, peer))
    return paired(what, peer, one, other)


def whole(what: str, taken: Taken, peer: str, least: float, ours: str = OURS) -> Row:
    """By both."""
    one, other = ([train + val for train, val in taken[name]] for name in (ours, peer))
    return paired(what, peer, one, other, least)


class Setting:
    """The images and the network that all have in common, and a turn of each."""

    def __init__(self, side: int, folder: Path) -> None:
        train, self.batch = IMAGES[side]
        words = [
            f"data.{key}={value}" for key, value in {"size": side, "train": train, "val": train // 4, "test": 8}.items()
        ]
        self.words = [
            "experiment=demo", *words, f"loader.batch_size={self.batch}", f"trainer.max_epochs={EPOCHS}",
            f"runs={folder}",
        ]  # fmt: skip
        self.folder, self.turn = folder, 0
        self.config = tandem.compose([*self.words, "augment=none"])
        data = make_data(self.config)
        data.setup()
        self.info, self.splits = data.info, data.splits

    def turns(self, whole: bool) -> dict[str, Callable[[], list[Epoch]]]:
        """A turn of each contender: the seconds of its epochs but for the first.

        Args:
            whole: whether every peer takes part, or the loop by hand and the bare one alone.
        """
        found: dict[str, Callable[[], list[Epoch]]] = {
            OURS: partial(self.tandem, "augment=none"),
            HAND: lambda: peers.by_hand(self.network(), *self.loaders(), EPOCHS),
            BARE: lambda: peers.lightning(peers.Bare(self.network()), *self.loaders(), EPOCHS),
        }
        if whole:
            found |= {
                AUTO: partial(self.tandem, "augment=none", "performance=auto"),
                LIGHT: partial(self.tandem, "augment=light"),
                LOGS: lambda: peers.lightning(peers.LogsEachStep(self.network()), *self.loaders(), EPOCHS),
                **{vision(workers): partial(self.vision, workers) for workers in WORKERS},
            }
        if whole and find_spec("ignite"):
            found[MONAI] = lambda: peers.monai(self.network(), *self.loaders(), EPOCHS)
        return {name: partial(_but_first, turn) for name, turn in found.items()}

    def loaders(self) -> tuple[DataLoader[Batch], DataLoader[Batch]]:
        """Batches for training and validation, as tandem makes them."""
        train, val = (
            loader(self.splits[split], self.batch, 0, 0, train=split == "train") for split in ("train", "val")
        )
        return train, val

    def network(self) -> nn.Module:
        """The same network and heads, untrained; it maps images to the logits of each task."""
        torch.manual_seed(0)
        return make_module(self.config, self.info)

    def tandem(self, *words: str, peak: Peak | None = None) -> list[Epoch]:
        """What the command does, from the configuration to the results."""
        self.turn += 1
        clock = peers.Clock(peak)
        train(dict(tandem.compose([*self.words, *words])), self.folder / str(self.turn), [clock])
        return clock.epochs

    def vision(self, workers: int) -> list[Epoch]:
        """The loop by hand with torchvision's transforms."""
        return peers.by_hand(
            self.network(), peers.moved(self.splits["train"], self.batch, workers), self.loaders()[1], EPOCHS
        )

    def memory(self) -> dict[str, float]:
        """MiB of an epoch of training."""
        ours, theirs = Peak(), Peak()
        self.tandem("augment=none", peak=ours)
        peers.by_hand(self.network(), *self.loaders(), EPOCHS, theirs)
        return {OURS: ours.mib, HAND: theirs.mib}


def _but_first(turn: Callable[[], list[Epoch]]) -> list[Epoch]:
    """A turn's epochs without the first one; the next contender finds torch as this one has.

    tandem chooses threads and deterministic algorithms for the process. The latter would slow down others: torchmetrics
    then counts thresholds by a table of all pixels, of several GB.
    """
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        return turn()[1:]
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(exact, warn_only=warn)
