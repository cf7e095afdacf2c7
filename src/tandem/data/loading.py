"""From one split to batches: which row comes when, and which random numbers belong to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tandem.data.batch import Batch
from tandem.data.counter_rng import keys, uniform
from tandem.data.samples import Samples
from tandem.data.sampling import ClassSampler, Rows, VisitSampler

DRAWS = 16
"""Uniform numbers that each row gets in each epoch for its augmentation."""


class EpochSampler(VisitSampler):
    """Visits every row once an epoch: `epoch * rows + row`. Arguments: `VisitSampler`."""

    def visits(self) -> Rows:
        """Every row's visit."""
        return np.arange(self.epoch * self.rows, (self.epoch + 1) * self.rows)


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
        """The batch of some visits; `draw` is a function of the seed and the visit alone."""
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


def loader(
    samples: Samples,
    batch_size: int,
    workers: int,
    seed: int,
    train: bool,
    shares: Sequence[float] | None = None,
    members: Tensor | None = None,
) -> DataLoader[Batch]:
    """A loader over one split.

    Training shuffles and leaves out a last batch of a single row, which batch normalisation cannot take; since the
    order changes, no row is left out for good.

    Args:
        samples: the split.
        batch_size: rows in a batch.
        workers: worker processes; the batches are the same whatever their number.
        seed: seed of order and augmentation.
        train: whether the split is trained on.
        shares: of the classes in an epoch of training (see `ClassSampler`); None visits each row once.
        members: (N,) what the shares are of, where it is not the classes but, for instance, the source of a row.
    """
    rows = len(samples)
    known = samples.labels if members is None else members
    sampler = EpochSampler(rows, seed) if shares is None else ClassSampler(known, shares, seed)
    return DataLoader(
        VisitDataset(samples, seed, random=train),
        batch_size=batch_size,
        sampler=sampler if train else None,
        shuffle=False,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_as_is,
        drop_last=train and rows > 1 and rows % batch_size == 1,
        pin_memory=torch.cuda.is_available(),
    )
