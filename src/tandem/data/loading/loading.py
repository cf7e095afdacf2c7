"""Data loaders: the order of the rows of a split, and the random numbers that belong to each row."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler

from tandem.data.batch import Batch, without_targets
from tandem.data.loading import crops
from tandem.data.loading.counter_rng import keys, uniform
from tandem.data.loading.sampling import ClassSampler, Rows, VisitSampler
from tandem.data.loading.worker_signals import leave_signals_to_the_main_process
from tandem.data.samples import Samples

DRAWS = 16
"""Uniform random numbers that each row gets in each epoch for its augmentation."""


class EpochSampler(VisitSampler):
    """Visits every row once in each epoch: visit `epoch * rows + row`. Arguments as in `VisitSampler`."""

    def visits(self) -> Rows:
        """One visit of each row."""
        return np.arange(self.epoch * self.rows, (self.epoch + 1) * self.rows)


class VisitDataset(Dataset[Batch]):
    """A split indexed by visits (see `VisitSampler`); a whole batch is indexed in one operation.

    Args:
        samples: the split.
        seed: seed of the random numbers for augmentation.
        random: whether batches contain `draw`, and random crops where the split has whole images.
    """

    def __init__(self, samples: Samples, seed: int, random: bool) -> None:
        self.samples = samples
        self.seed = seed
        self.random = random

    def __len__(self) -> int:
        return len(self.samples)

    def __getitems__(self, visits: Sequence[int]) -> Batch:
        """Returns the batch of some visits; `draw` and random crops are functions of the seed and the visit only.

        Negative visits are padding (see `RankBatchSampler`): -1 is visit 0 without its targets, -2 is visit 1, and so
        on.
        """
        where = torch.as_tensor(visits)
        filled = bool(where[0] < 0)
        where = ~where if filled else where
        cropped = self.random and self.samples.whole is not None
        numbers = uniform(keys(self.seed, "crop", where.numpy()), 0, crops.DRAWS) if cropped else None
        batch = self.samples.take(where % len(self.samples), numbers)
        if filled:
            batch = without_targets(batch)
        if self.random:
            draw = uniform(keys(self.seed, "augment", where.numpy()), 0, DRAWS)
            batch["draw"] = torch.from_numpy(draw).float().clamp_(max=1 - 2**-24)
        return batch

    def __getitem__(self, visit: int) -> Batch:
        return self.__getitems__([visit])


class RankBatchSampler(BatchSampler):
    """One rank's share of every batch: together, the ranks process the same batches as a single process.

    All ranks have the same number of batches, and their shares of a batch differ by at most one row. If the last batch
    has fewer rows than there are ranks, a rank without a row gets the batch's first row without its targets. (With more
    than two ranks this can happen in training, where such a row counts in the statistics of batch normalisation.)

    Args:
        sampler: samples from the whole split, in the same order on every rank.
        batch_size: rows in a batch, over all ranks.
        drop_last: whether to leave out an incomplete last batch.
        rank: this process, from 0.
        world_size: number of processes.

    Example:
        >>> [list(RankBatchSampler(range(5), 4, False, rank, 2)) for rank in (0, 1)]
        [[[0, 1], [-5]], [[2, 3], [4]]]
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool, rank: int, world_size: int) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            first, end = (len(batch) * place // self.world_size for place in (self.rank, self.rank + 1))
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
    resume: tuple[int, int] = (0, 0),
) -> DataLoader[Batch]:
    """Creates the data loader of one split.

    Training shuffles, and drops a last batch of a single row, which batch normalisation cannot process; since the order
    changes, a different row is dropped in each epoch.

    Args:
        samples: the split.
        batch_size: rows in a batch.
        workers: worker processes; their number does not change the batches.
        seed: seed of shuffling and augmentation.
        train: whether the split is used for training.
        shares: share of each class in a training epoch (see `ClassSampler`); None visits each row once.
        members: (N,) what `shares` refer to instead of the class, such as the source of each row.
        part: rank and world size (see `RankBatchSampler`).
        resume: epoch that is trained first, and number of its batches that are done already.
    """
    rows = len(samples)
    known = samples.labels if members is None else members
    where = samples.shards if train else None
    sampler = EpochSampler(rows, seed, where) if shares is None else ClassSampler(known, shares, seed, where)
    sampler.resume(resume[0], resume[1] * batch_size)
    if train and samples.whole is not None:
        samples.whole.open()  # here, so that no worker decodes
    drop_last = train and rows > 1 and rows % batch_size == 1
    in_batches: dict[str, Any] = {
        "batch_size": batch_size,
        "sampler": sampler if train else None,
        "shuffle": False,
        "drop_last": drop_last,
    }
    if part[1] > 1:
        order = sampler if train else SequentialSampler(samples.ids)
        in_batches = {"batch_sampler": RankBatchSampler(order, batch_size, drop_last, *part)}
    return DataLoader(
        VisitDataset(samples, seed, random=train),
        **in_batches,
        num_workers=workers,
        worker_init_fn=leave_signals_to_the_main_process,
        persistent_workers=workers > 0,
        collate_fn=_as_is,
        pin_memory=torch.cuda.is_available(),
    )
