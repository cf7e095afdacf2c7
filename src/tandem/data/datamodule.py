"""Lightning's data module over any source: batches, augmentation, and what identifies the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from tandem.data.augment import Augment
from tandem.data.batch import Batch
from tandem.data.checks import check_splits
from tandem.data.loading import loader
from tandem.data.samples import Samples
from tandem.data.source import Source


@dataclass(frozen=True)
class DataInfo:
    """What networks and tasks need to know of the data.

    Attributes:
        name: the data set.
        classes: names of the classes, in the order of their indices.
        channels: channels of an image.
    """

    name: str
    classes: tuple[str, ...]
    channels: int


class DataModule(pl.LightningDataModule):
    """Gives the batches of a source; augments training batches where they are used (on the GPU, if there is one).

    Args:
        source: where pictures come from.
        augment: applied to training batches, or None.
        batch_size: rows in a batch.
        workers: worker processes of a loader.
        seed: seed of order and augmentation.
    """

    def __init__(self, source: Source, augment: Augment | None, batch_size: int, workers: int, seed: int) -> None:
        super().__init__()
        self.source = source
        self.augment = augment
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.splits: Mapping[str, Samples] = {}

    @property
    def info(self) -> DataInfo:
        """What is known of the data before it is read."""
        return DataInfo(self.source.name, tuple(self.source.classes), self.source.channels)

    def setup(self, stage: str | None = None) -> None:
        """Reads and checks the data, once.

        Raises:
            DataError: data that cannot be used.
        """
        if not self.splits:
            splits = self.source.load()
            check_splits(self.source.name, splits, self.source.classes)
            self.splits = splits

    def fingerprint(self) -> dict[str, str]:
        """What identifies the data: a hash of each split's names, pixels and targets, and of the files."""
        pixels = {split: samples.fingerprint() for split, samples in self.splits.items()}
        files = getattr(self.source, "files_fingerprint", None)
        return {**pixels, "files": files} if files else pixels

    def _loader(self, split: str) -> DataLoader[Batch]:
        return loader(self.splits[split], self.batch_size, self.workers, self.seed, train=split == "train")

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled by (seed, epoch), augmented by (seed, epoch, row)."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """In the order of the split, as it is."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """In the order of the split, as it is."""
        return self._loader("test")

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augments a training batch on the device it was moved to."""
        return self.augment(batch) if self.augment is not None and "draw" in batch else batch
