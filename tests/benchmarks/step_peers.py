"""The loops that `bench_step` compares with tandem: by hand, bare Lightning, a module that logs, MONAI's trainer.

Each is given a network that maps images to the logits of each task, and loaders of batches; each returns the seconds of
its epochs. None uses tandem's losses or metrics.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from tests.benchmarks.memory import Peak
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryF1Score, BinaryPrecisionRecallCurve, MulticlassAccuracy
from torchvision import tv_tensors
from torchvision.transforms import v2

from tandem.data.samples import Samples

THRESHOLDS = torch.linspace(0.1, 0.9, 81)

Batches = Iterable[Mapping[str, Any]]
Epoch = tuple[float, float]
"""Seconds of its training and of its validation."""


def optimizer_of(network: nn.Module) -> torch.optim.Optimizer:
    """As in `experiment=demo`."""
    return torch.optim.AdamW(network.parameters(), lr=2e-3)


def loss(logits: Mapping[str, Tensor], batch: Mapping[str, Any]) -> Tensor:
    """Cross-entropy of the class; cross-entropy and soft Dice of the mask."""
    mask, pixels = batch["mask"].float(), logits["segmentation"]
    inside = pixels.sigmoid()
    dice = 1 - (2 * (inside * mask).sum() + 1) / (inside.sum() + mask.sum() + 1)
    answer: Tensor = F.cross_entropy(logits["classification"], batch["label"])
    answer = answer + F.binary_cross_entropy_with_logits(pixels, mask) + dice
    return answer


def by_hand(network: nn.Module, train: Batches, val: Batches, epochs: int, peak: Peak | None = None) -> list[Epoch]:
    """The loop that everybody writes once; with `peak` its last epoch of training is looked at."""
    optimizer, found = optimizer_of(network), []
    for number in range(epochs):
        looked = peak if number == epochs - 1 else None
        start = time.perf_counter()
        if looked:
            looked.start()
        network.train()
        for batch in train:
            optimizer.zero_grad()
            loss(network(batch["image"]), batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if looked:
            looked.stop()
        middle = time.perf_counter()
        network.eval()
        best_dice(network, val)
        found.append((middle - start, time.perf_counter() - middle))
    return found


class Counts:
    """Dice over all pixels at each threshold: a comparison for each."""

    def __init__(self) -> None:
        self.both, self.total = torch.zeros(len(THRESHOLDS)), torch.zeros(len(THRESHOLDS))

    def add(self, logits: Tensor, mask: Tensor) -> None:
        """Counts a batch."""
        inside, positive = logits.sigmoid(), mask == 1
        for place, threshold in enumerate(THRESHOLDS):
            predicted = inside >= threshold
            self.both[place] += (predicted & positive).sum()
            self.total[place] += predicted.sum() + positive.sum()

    def best(self) -> float:
        """The best Dice."""
        return float((2 * self.both / self.total).max())


@torch.no_grad()
def best_dice(network: nn.Module, batches: Batches) -> float:
    """Validation of the loop by hand: the loss, and the best Dice."""
    counts = Counts()
    for batch in batches:
        logits = network(batch["image"])
        loss(logits, batch)
        counts.add(logits["segmentation"], batch["mask"])
    return counts.best()


class Moved(Dataset[dict[str, Any]]):
    """Images in memory, moved by torchvision's transforms one by one; they do what tandem's `light` does."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        affine = v2.RandomAffine(
            10.0, translate=(0.05, 0.05), scale=(0.9, 1.15), interpolation=v2.InterpolationMode.BILINEAR
        )
        self.transforms = v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5),
                affine,
                v2.ColorJitter(brightness=0.08, contrast=0.15),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> dict[str, Any]:
        pair = tv_tensors.Image(self.samples.images[row]), tv_tensors.Mask(self.samples.masks[row])
        image, mask = self.transforms(*pair)
        return {"image": image.as_subclass(Tensor), "mask": mask.as_subclass(Tensor), "label": self.samples.labels[row]}


def moved(samples: Samples, batch: int, workers: int) -> DataLoader[dict[str, Any]]:
    """A DataLoader of `Moved`."""
    return DataLoader(Moved(samples), batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


class Bare(pl.LightningModule):
    """Nothing but the loss."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Lightning hook."""
        value: Tensor = loss(self.network(batch["image"]), batch)
        return value

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Lightning hook."""
        loss(self.network(batch["image"]), batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Lightning hook."""
        return optimizer_of(self.network)


class LogsEachStep(Bare):
    """Updates and logs a loss, an accuracy and a Dice in each step, as Lightning-Hydra-Template does.

    On validation data a binned curve of torchmetrics gives the best Dice.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.meters = nn.ModuleDict(
            {f"{stage}_{key}": make() for stage in ("train", "val") for key, make in METERS.items()}
        )
        self.curve = BinaryPrecisionRecallCurve(thresholds=THRESHOLDS, validate_args=False)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Lightning hook."""
        return self.step(batch, "train")[0]

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Lightning hook."""
        _, logits = self.step(batch, "val")
        self.curve.update(logits["segmentation"].sigmoid(), batch["mask"].long())

    def on_validation_epoch_end(self) -> None:
        """Lightning hook."""
        precision, recall, _ = self.curve.compute()
        self.curve.reset()
        self.log("val/best_dice", (2 * precision * recall / (precision + recall)).nan_to_num().max(), prog_bar=True)

    def step(self, batch: Mapping[str, Any], stage: str) -> tuple[Tensor, Mapping[str, Tensor]]:
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
        return value, logits


METERS: Mapping[str, Callable[[], nn.Module]] = {
    "loss": MeanMetric,
    "accuracy": lambda: MulticlassAccuracy(3),
    "dice": BinaryF1Score,
}


class Clock(pl.Callback):
    """Times epochs, before every other callback; with `peak` the last epoch's training is looked at."""

    def __init__(self, peak: Peak | None = None) -> None:
        self.epochs: list[Epoch] = []
        self.peak = peak

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Lightning hook."""
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks.remove(self)
        callbacks.insert(0, self)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        self.start = time.perf_counter()
        if self.peak and trainer.current_epoch + 1 == trainer.max_epochs:
            self.peak.start()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook."""
        if self.peak and trainer.state.fn == "fit" and trainer.current_epoch + 1 == trainer.max_epochs:
            self.peak.stop()
        self.middle = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning hook; it follows the epoch's validation."""
        self.epochs.append((self.middle - self.start, time.perf_counter() - self.middle))


def lightning(module: Bare, train: Batches, val: Batches, epochs: int) -> list[Epoch]:
    """A LightningModule without tandem."""
    clock = Clock()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[clock],
    )  # fmt: skip
    trainer.fit(module, train, val)
    return clock.epochs


def monai(network: nn.Module, train: Batches, val: Batches, epochs: int) -> list[Epoch]:
    """MONAI's SupervisedTrainer with its metrics, validated each epoch by its evaluator, the best Dice included.

    Batches are not taken apart into images (`decollate`), which its transforms would need, and which takes time.
    """
    from ignite.engine import Engine, Events
    from ignite.metrics import Accuracy
    from monai.engines import SupervisedEvaluator, SupervisedTrainer
    from monai.handlers import MeanDice, ValidationHandler

    found: list[Epoch] = []
    times = {"start": 0.0, "middle": 0.0}

    def prepare(batch: Mapping[str, Any], *_: Any, **__: Any) -> tuple[Tensor, Mapping[str, Any]]:
        return batch["image"], batch

    def classes(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        return output["pred"]["classification"], output["label"]["label"]

    def masks(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        return (output["pred"]["segmentation"] >= 0).float(), output["label"]["mask"]

    def metrics() -> dict[str, Any]:
        return {"dice": MeanDice(output_transform=masks)}

    counts = [Counts()]

    def count(engine: Engine) -> None:
        counts[0].add(engine.state.output["pred"]["segmentation"], engine.state.output["label"]["mask"])

    evaluator = SupervisedEvaluator(
        "cpu", val, network, prepare_batch=prepare, key_val_metric=metrics(), decollate=False,
        additional_metrics={"accuracy": Accuracy(output_transform=classes)},
    )  # fmt: skip
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, count)
    trainer = SupervisedTrainer(
        "cpu", epochs, train, network, optimizer_of(network), loss, prepare_batch=prepare, decollate=False,
        key_train_metric=metrics(), additional_metrics={"accuracy": Accuracy(output_transform=classes)},
        optim_set_to_none=True,
    )  # fmt: skip

    def begin(_: Engine) -> None:
        times["start"] = time.perf_counter()

    def trained(_: Engine) -> None:
        times["middle"] = time.perf_counter()

    def validated(_: Engine) -> None:
        counts[0].best()
        counts[0] = Counts()
        found.append((times["middle"] - times["start"], time.perf_counter() - times["middle"]))

    trainer.add_event_handler(Events.EPOCH_STARTED, begin)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, trained)
    ValidationHandler(1, evaluator).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, validated)
    trainer.run()
    return found
