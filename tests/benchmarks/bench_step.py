"""Seconds of an epoch's training: a loop written by hand, a bare Lightning loop, a module that logs each step, tandem.

All train the same network on the same images in memory, without augmentation, in one process and in turns; the first
epoch of a turn is not counted. Ours is what `tandem-train` does by default: metrics, the watch for collapse, panels,
confusion matrices, checkpoints. The loop by hand takes losses from torch alone and logs nothing. The module that logs
is written as the Lightning-Hydra template writes one: metrics of torchmetrics, updated and logged in each step.
Validation is timed apart: ours finds the best Dice over 81 thresholds, as the loop by hand does with comparisons.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from tests.benchmarks.harness import Row, in_turns, paired
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryF1Score, MulticlassAccuracy

import tandem
from tandem.data.batch import Batch
from tandem.data.loading.loading import loader
from tandem.factory import make_data, make_module
from tandem.train.run import train

IMAGES = {64: (600, 32), 128: (240, 16), 256: (64, 16)}
"""Images and batch by side in pixels."""

EPOCHS = 3
"""Of one turn; the first is not counted."""

TURNS = 5
"""Of each: ten pairs of epochs."""

THRESHOLDS = torch.linspace(0.1, 0.9, 81)

BARS = {"by hand": {64: 0.97, 128: 0.99, 256: 0.99}, "logs each step": {64: 1.1}}
"""Least ratio of speeds, by peer and side."""

Epoch = tuple[float, float]
"""Seconds of its training and of its validation."""


def rows() -> list[Row]:
    """Training against each peer, and validation against the loop by hand, at each size."""
    return [row for side in IMAGES for row in compared(side)]


def compared(side: int) -> list[Row]:
    """The rows of one size."""
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(side, Path(folder))
        turns: dict[str, Callable[[], list[Epoch]]] = {
            "tandem": setting.tandem,
            "by hand": setting.by_hand,
            "bare Lightning": lambda: setting.lightning(Bare),
            "logs each step": lambda: setting.lightning(LogsEachStep),
        }
        taken = in_turns(turns, TURNS)
    ours = taken.pop("tandem")
    found = []
    for name, theirs in taken.items():
        pair = [train for train, _ in ours], [train for train, _ in theirs]
        found.append(paired(f"{side} px: training", name, *pair, BARS.get(name, {}).get(side)))
    hand = taken["by hand"]
    return [*found, paired(f"{side} px: validation", "by hand", [val for _, val in ours], [val for _, val in hand])]


class Setting:
    """The images and the network that all have in common, and a turn of each."""

    def __init__(self, side: int, folder: Path) -> None:
        train, self.batch = IMAGES[side]
        words = [
            f"data.{key}={value}" for key, value in {"size": side, "train": train, "val": train // 4, "test": 8}.items()
        ]
        more = [f"loader.batch_size={self.batch}", "augment=none", f"trainer.max_epochs={EPOCHS}", f"runs={folder}"]
        self.config = tandem.compose(["experiment=demo", *words, *more])
        self.folder, self.turn = folder, 0
        data = make_data(self.config)
        data.setup()
        self.info, self.splits = data.info, data.splits

    def loader(self, split: str) -> DataLoader[Batch]:
        """Batches of a split, as tandem makes them."""
        return loader(self.splits[split], self.batch, 0, 0, train=split == "train")

    def network(self) -> nn.Module:
        """The same network and heads, untrained; it maps images to the logits of each task."""
        torch.manual_seed(0)
        return make_module(self.config, self.info)

    def tandem(self) -> list[Epoch]:
        """What the command does, from the configuration to the results."""
        self.turn += 1
        clock = Clock()
        train(dict(self.config), self.folder / str(self.turn), [clock])
        return clock.epochs[1:]

    def lightning(self, kind: "type[Bare]") -> list[Epoch]:
        """A LightningModule without tandem."""
        clock = Clock()
        trainer = pl.Trainer(
            max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, callbacks=[clock],
        )  # fmt: skip
        trainer.fit(kind(self.network()), self.loader("train"), self.loader("val"))
        return clock.epochs[1:]

    def by_hand(self) -> list[Epoch]:
        """The loop that everybody writes once."""
        network, found = self.network(), []
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
        train, val = self.loader("train"), self.loader("val")
        for _ in range(EPOCHS):
            start = time.perf_counter()
            network.train()
            for batch in train:
                optimizer.zero_grad()
                loss(network(batch["image"]), batch).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            middle = time.perf_counter()
            network.eval()
            best_dice(network, val)
            found.append((middle - start, time.perf_counter() - middle))
        return found[1:]


def loss(logits: Mapping[str, Tensor], batch: Mapping[str, Any]) -> Tensor:
    """Cross-entropy of the class; cross-entropy and soft Dice of the mask."""
    mask, pixels = batch["mask"].float(), logits["segmentation"]
    inside = pixels.sigmoid()
    dice = 1 - (2 * (inside * mask).sum() + 1) / (inside.sum() + mask.sum() + 1)
    answer: Tensor = F.cross_entropy(logits["classification"], batch["label"])
    answer = answer + F.binary_cross_entropy_with_logits(pixels, mask) + dice
    return answer


@torch.no_grad()
def best_dice(network: nn.Module, batches: DataLoader[Batch]) -> float:
    """The best Dice over all pixels: a comparison for each threshold."""
    both, total = torch.zeros(len(THRESHOLDS)), torch.zeros(len(THRESHOLDS))
    for batch in batches:
        logits = network(batch["image"])
        loss(logits, batch)
        inside, mask = logits["segmentation"].sigmoid(), batch["mask"] == 1
        for place, threshold in enumerate(THRESHOLDS):
            predicted = inside >= threshold
            both[place] += (predicted & mask).sum()
            total[place] += predicted.sum() + mask.sum()
    return float((2 * both / total).max())


class Bare(pl.LightningModule):
    """Nothing but the loss."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Lightning hook."""
        value: Tensor = loss(self.network(batch["image"]), batch)
        return value

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Lightning hook."""
        loss(self.network(batch["image"]), batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Lightning hook."""
        return torch.optim.AdamW(self.network.parameters(), lr=2e-3)


class LogsEachStep(Bare):
    """Updates and logs a loss, an accuracy and a Dice in each step."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.meters = nn.ModuleDict(
            {f"{stage}_{key}": make() for stage in ("train", "val") for key, make in METERS.items()}
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Lightning hook."""
        return self.step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Lightning hook."""
        self.step(batch, "val")

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Loss and metrics of a batch."""
        logits = self.network(batch["image"])
        value = loss(logits, batch)
        given = {
            "loss": (value.detach(),),
            "accuracy": (logits["classification"], batch["label"]),
            "dice": (logits["segmentation"].sigmoid(), batch["mask"]),
        }
        for key, arguments in given.items():
            meter = self.meters[f"{stage}_{key}"]
            meter(*arguments)
            self.log(f"{stage}/{key}", meter, on_step=False, on_epoch=True, prog_bar=True)  # type: ignore[arg-type]
        return value


METERS: Mapping[str, Callable[[], nn.Module]] = {
    "loss": MeanMetric,
    "accuracy": lambda: MulticlassAccuracy(3),
    "dice": BinaryF1Score,
}


class Clock(pl.Callback):
    """Times epochs; it runs before every other callback."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Lightning hook."""
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks.remove(self)
        callbacks.insert(0, self)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        self.start = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        self.middle = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook; it follows the epoch's validation."""
        self.epochs.append((self.middle - self.start, time.perf_counter() - self.middle))
