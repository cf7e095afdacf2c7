"""From one split to batches: which row comes when, and which random numbers belong to it."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tandem.data.batch import Batch
from tandem.data.counter_rng import keys, uniform
from tandem.data.samples import Samples

DRAWS = 16
"""Uniform numbers that each row gets in each epoch for its augmentation."""


class EpochSampler(Sampler[int]):
    """Visits every row once an epoch, in an order that depends on (seed, epoch) alone.

    Gives *visits*, not rows: `epoch * rows + row`. So a worker process, which never learns of the epoch, can tell
    both, and the order of a resumed run is that of an uninterrupted one.

    Args:
        rows: rows of the split.
        seed: seed of the order.
    """

    def __init__(self, rows: int, seed: int) -> None:
        super().__init__()
        self.rows = rows
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.rows, generator=generator)
        return iter((order + self.epoch * self.rows).tolist())


class VisitDataset(Dataset[Batch]):
    """A split, read by visits; a whole batch is indexed in one operation.

    Args:
        samples: the split.
        seed: seed of the numbers for augmentation.
        random: whether batches carry `draw`.
    """

    def __init__(self, samples: Samples, seed: int, random: bool) -> None:
        self.samples = samples
        self.seed = seed
        self.random = random

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, visits: Sequence[int]) -> Batch:
        """The batch of some visits; `draw` is a function of (seed, epoch, row) alone."""
        where = torch.as_tensor(visits)
        batch = self.samples.take(where % len(self.samples))
        if self.random:
            numbers = uniform(keys(self.seed, "augment", where.numpy()), 0, DRAWS)
            batch["draw"] = torch.from_numpy(numbers).float().clamp_(max=1 - 2**-24)
        return batch

    def __getitem__(self, visit: int) -> Batch:
        return self.__getitems__([visit])


def _as_is(batch: Any) -> Any:
    return batch


def loader(samples: Samples, batch_size: int, workers: int, seed: int, train: bool) -> DataLoader[Batch]:
    """A loader over one split.

    Training shuffles and leaves out a last batch of a single row, which batch normalisation cannot take; since the
    order changes, no row is left out for good.

    Args:
        samples: the split.
        batch_size: rows in a batch.
        workers: worker processes; the batches are the same whatever their number.
        seed: seed of order and augmentation.
        train: whether the split is trained on.
    """
    rows = len(samples)
    return DataLoader(
        VisitDataset(samples, seed, random=train),
        batch_size=batch_size,
        sampler=EpochSampler(rows, seed) if train else None,
        shuffle=False,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_as_is,
        drop_last=train and rows > 1 and rows % batch_size == 1,
        pin_memory=torch.cuda.is_available(),
    )
