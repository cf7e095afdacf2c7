"""From one split to batches: which row comes when, and which random numbers belong to it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler

from tandem.data.batch import Batch, without_targets
from tandem.data.loading.counter_rng import keys, uniform
from tandem.data.loading.sampling import ClassSampler, Rows, VisitSampler
from tandem.data.samples import Samples

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
        """The batch of some visits; `draw` is a function of the seed and the visit alone.

        Visits below 0 fill a part that would be empty (see `Part`): -1 is visit 0 without its targets, and so on.
        """
        where = torch.as_tensor(visits)
        filled = bool(where[0] < 0)
        where = ~where if filled else where
        batch = self.samples.take(where % len(self.samples))
        if filled:
            batch = without_targets(batch)
        if self.random:
            numbers = uniform(keys(self.seed, "augment", where.numpy()), 0, DRAWS)
            batch["draw"] = torch.from_numpy(numbers).float().clamp_(max=1 - 2**-24)
        return batch

    def __getitem__(self, visit: int) -> Batch:
        return self.__getitems__([visit])


class Part(BatchSampler):
    """One device's part of every batch: the batches of all devices together are those of one.

    Each device has as many batches as the others, with rows that differ in number by one at most. A last batch may have
    fewer rows than there are devices; a device that has none of it gets the first without its targets. (With more than
    two devices that can happen in training, where such a row counts in the statistics of batch normalisation.)

    Args:
        sampler: of the whole split, the same on every device.
        batch_size: rows in a batch of all devices.
        drop_last: whether a last batch of fewer rows is left out.
        device: which of the devices this is, from 0.
        devices: how many there are.

    Example:
        >>> [list(Part(range(5), 4, False, device, 2)) for device in (0, 1)]
        [[[0, 1], [-5]], [[2, 3], [4]]]
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool, device: int, devices: int) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.device = device
        self.devices = devices

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            first, end = (len(batch) * place // self.devices for place in (self.device, self.device + 1))
            yield batch[first:end] or [~batch[0]]


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
    part: tuple[int, int] = (0, 1),
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
        part: which of how many devices has these batches (see `Part`).
    """
    rows = len(samples)
    known = samples.labels if members is None else members
    sampler = EpochSampler(rows, seed) if shares is None else ClassSampler(known, shares, seed)
    drop_last = train and rows > 1 and rows % batch_size == 1
    in_batches: dict[str, Any] = {
        "batch_size": batch_size,
        "sampler": sampler if train else None,
        "shuffle": False,
        "drop_last": drop_last,
    }
    if part[1] > 1:
        order = sampler if train else SequentialSampler(samples.ids)
        in_batches = {"batch_sampler": Part(order, batch_size, drop_last, *part)}
    return DataLoader(
        VisitDataset(samples, seed, random=train),
        **in_batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=_as_is,
        pin_memory=torch.cuda.is_available(),
    )
