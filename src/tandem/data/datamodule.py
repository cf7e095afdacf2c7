"""Lightning's data module for any source: batches, augmentation, and a fingerprint of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from tandem.data.augment import Augment
from tandem.data.batch import Batch
from tandem.data.checks import check_splits
from tandem.data.files.inventory import Inventory, take_inventory
from tandem.data.files.raster import Levels
from tandem.data.loading.kept_targets import ALL, KeptTargets
from tandem.data.loading.loading import loader
from tandem.data.loading.sampling import class_shares, visits_by_class
from tandem.data.samples import Samples
from tandem.data.source import Source
from tandem.data.targets import Targets
from tandem.errors import ConfigError


@dataclass(frozen=True)
class DataInfo(Targets):
    """What networks and tasks need to know about the data; further targets are named as in `Targets`.

    Attributes:
        name: the data set.
        classes: names of the classes, in the order of their indices.
        channels: channels of an image.
    """

    name: str
    classes: tuple[str, ...]
    channels: int

    @property
    def offered(self) -> tuple[str, ...]:
        """The kinds of target that this data set has: `label`, `mask` (binary), `class mask`, `findings`, `columns`."""
        has = {
            "label": self.classes,
            "mask": self.mask_channels,
            "class mask": self.mask_classes,
            "findings": self.findings,
            "columns": self.columns,
        }
        return tuple(kind for kind, names in has.items() if names)


class DataModule(pl.LightningDataModule):
    """Serves the batches of a source; augments training batches on the device that uses them (the GPU, if available).

    Args:
        source: the data set.
        augment: applied to training batches; None for no augmentation.
        batch_size: rows in a batch.
        workers: worker processes of each loader.
        seed: seed of shuffling and augmentation.
        sampling: how often an epoch visits each row: `uniform`, `balanced`, or a weight for each class.
        kept: the training images that keep their targets; all of them by default.

    Raises:
        ConfigError: the sampling does not fit the classes, or data.shares is set too.
    """

    def __init__(
        self,
        source: Source,
        augment: Augment | None,
        batch_size: int,
        workers: int,
        seed: int,
        sampling: str | Sequence[float] = "uniform",
        kept: KeptTargets = ALL,
    ) -> None:
        super().__init__()
        self.source = source
        self.augment = augment
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.shares = None if sampling == "uniform" else class_shares(sampling, self.info.classes)
        self.source_shares: Sequence[float] | None = getattr(source, "shares", None)
        if self.shares is not None and self.source_shares is not None:
            raise ConfigError(f"loader.sampling is {sampling} and data.shares is given too; choose one of them")
        self.kept = kept
        self.splits: Mapping[str, Samples] = {}
        self._as_read: dict[str, str] = {}

    @property
    def info(self) -> DataInfo:
        """What is known about the data before it is read."""
        targets = getattr(self.source, "targets", Targets())
        return DataInfo(self.source.name, tuple(self.source.classes), self.source.channels, **vars(targets))

    @property
    def skipped(self) -> tuple[str, ...]:
        """A line for each faulty row that was skipped; available after `setup`."""
        return tuple(getattr(self.source, "skipped", ()))

    @property
    def notes(self) -> dict[str, Any]:
        """What a run keeps about its data: `unused` files, `missing` values, `overlap`; available after `setup`."""
        return dict(getattr(self.source, "notes", {}))

    def setup(self, stage: str | None = None) -> None:
        """Reads and checks the data, once.

        Raises:
            DataError: the data cannot be used.
        """
        if not self.splits:
            splits = self.source.load()
            info = self.info
            check_splits(info.name, splits, info.classes, info, apart=not getattr(self.source, "allow_overlap", False))
            if self.kept.reduces:
                self._as_read = {"train": splits["train"].fingerprint()}
                splits = {**splits, "train": self.kept.apply(splits["train"], self.seed)}
            if self.shares is not None:
                visits_by_class(splits["train"], self.shares, info.classes)
            self.splits = _alike(splits)

    def visits(self) -> dict[str, int]:
        """Visits of each class in an epoch, after `setup`; empty if every row is visited once."""
        return {} if self.shares is None else visits_by_class(self.splits["train"], self.shares, self.info.classes)

    def fingerprint(self) -> dict[str, str]:
        """Identifies the data as read: a hash of each split's ids, pixels and targets, and one of the files."""
        pixels = {split: self._as_read.get(split) or part.fingerprint() for split, part in self.splits.items()}
        files = getattr(self.source, "files_fingerprint", None)
        return {**pixels, "files": files} if files else pixels

    @property
    def spaced(self) -> bool:
        """After `setup`, whether the size of pixels is known, so that distances are in millimetres."""
        return any(samples.spacing is not None for samples in self.splits.values())

    @property
    def levels(self) -> tuple[Levels, ...]:
        """After `setup`, black and white of the images of more than 8 bits; several pairs only in mixed data."""
        return tuple(getattr(self.source, "levels", ()))

    def state_dict(self) -> dict[str, Any]:
        """Lightning hook: a checkpoint holds the levels, which predict and export apply."""
        return {"levels": [list(pair) for pair in self.levels]} if self.levels else {}

    def inventory(self) -> Inventory | None:
        """The files that were read, with a digest of each, after `setup`; None if the source does not name them."""
        return take_inventory(self.source)

    def _loader(self, split: str) -> DataLoader[Batch]:
        samples = self.splits[split]
        members, shares = samples.labels, self.shares
        if self.source_shares is not None and samples.origin is not None:
            members, shares = samples.origin, list(self.source_shares)
        part = (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
        train = split == "train"
        resume = self._position() if train else (0, 0)
        return loader(samples, self.batch_size, self.workers, self.seed, train, shares, members, part, resume)

    def _position(self) -> tuple[int, int]:
        """The epoch that is trained first, and how many of its batches are done, in a resumed run."""
        if self.trainer is None:
            return 0, 0
        loop, batches = self.trainer.fit_loop, self.trainer.fit_loop.epoch_loop.batch_progress
        done = 0 if batches.is_last_batch else batches.current.ready
        return loop.epoch_progress.current.state_dict()["processed"], done

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training batches: the order depends on (seed, epoch), the augmentation on (seed, epoch, row)."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation batches, in the order of the split, without augmentation."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test batches, in the order of the split, without augmentation."""
        return self._loader("test")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augments a training batch on the device that it was moved to."""
        return self.augment(batch) if self.augment is not None and "draw" in batch else batch


def _alike(splits: Mapping[str, Samples]) -> Mapping[str, Samples]:
    """If the size of pixels is known in one split, its unit is that of all: the others say that it is unknown."""
    if all(samples.spacing is None for samples in splits.values()):
        return splits
    unknown = {split: torch.full((len(samples), 2), torch.nan) for split, samples in splits.items()}
    return {
        split: samples if samples.spacing is not None else replace(samples, spacing=unknown[split])
        for split, samples in splits.items()
    }
