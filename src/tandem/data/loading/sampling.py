"""How often an epoch visits each row: once, or according to the share of its class."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from tandem.config.suggest import nearest
from tandem.data.loading.counter_rng import keys
from tandem.data.loading.storage import Shards
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError

SAMPLINGS = ("uniform", "balanced")
"""Named values of `loader.sampling`; it can also be a list with one weight for each class."""

EPOCHS = 2**20
"""More epochs than any run has: the second visit of a row in epoch e is numbered as its visit in epoch e + EPOCHS."""

Rows = NDArray[np.int64]


class VisitSampler(Sampler[int]):
    """Base of the training samplers: an epoch's visits, in an order that depends only on (seed, epoch).

    Yields *visits*, not rows: numbers that are congruent to `row` modulo the number of rows and unique in a whole
    training. From a visit alone, a worker process, which does not know the epoch, can derive the row and its random
    numbers. A resumed run has the same order as an uninterrupted one.

    Where rows lie in shards, the order is file by file: of some shards at a time, in any order, before the next ones.
    The shards are drawn anew in each epoch. If there are no more than these, it is the order of data in memory.

    Args:
        rows: number of rows of the split, and of visits in an epoch.
        seed: seed of the order.
        shards: where the rows lie; None if the order is free.
    """

    def __init__(self, rows: int, seed: int, shards: Shards | None = None) -> None:
        super().__init__()
        self.rows = rows
        self.seed = seed
        self.shards = shards
        self.epoch = 0
        self.done = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch; Lightning calls it at the start of each epoch."""
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0

    def resume(self, epoch: int, done: int) -> None:
        """Sets where a resumed run goes on, before worker processes ask for their first batches.

        Args:
            epoch: that is trained next.
            done: number of its visits that are done and left out.
        """
        self.epoch, self.done = epoch, done

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        visits = self.visits()[torch.randperm(self.rows, generator=generator).numpy()]
        if self.shards is not None:
            visits = visits[by_shards(self.shards, visits % self.rows, generator)]
        return iter(visits[self.done :].tolist())

    @abstractmethod
    def visits(self) -> Rows:
        """Returns the epoch's visits in any order, (rows,) int64."""


def by_shards(shards: Shards, rows: Rows, generator: torch.Generator) -> Rows:
    """Sorts rows by shards, some of which are taken together; in between, and among these, the order stays.

    Args:
        shards: where the rows of the split lie.
        rows: in random order.
        generator: draws the order of the shards.

    Returns:
        Indices into `rows`.
    """
    count = int(shards.of_row.max()) + 1
    turn = torch.randperm(count, generator=generator).numpy() // shards.at_once
    return np.argsort(turn[shards.of_row[rows]], kind="stable")


class ClassSampler(VisitSampler):
    r"""Visits the rows of some classes more often than others; an epoch has as many visits as there are rows.

    Of \(L\) visits, the number of labelled rows, class c gets \(q_c = L w_c / \sum_k w_k\), rounded so that they sum to
    \(L\); each row without a label is visited once. Sampling is without replacement: the rows of a class form one
    endless sequence of shuffled passes, and each epoch takes the next \(q_c\). So after any number of epochs, the
    visits of two rows of a class differ by at most one, and no row is left out. Everything is a function of
    (seed, epoch), so the number of workers does not matter, and a resumed run visits the same rows as an uninterrupted
    one.

    A visit is `(repeat * EPOCHS + epoch) * rows + row`: a row that is visited several times in an epoch is augmented
    differently each time.

    Args:
        labels: (N,) class index of each row, negative where unknown.
        shares: a weight \(w_c\) for each class, at least 0.
        seed: seed of the order.
        shards: where the rows lie; None if the order is free.

    Raises:
        DataError: a class with a positive weight has no rows.
    """

    def __init__(
        self,
        labels: Sequence[int] | Rows | torch.Tensor,
        shares: Sequence[float],
        seed: int,
        shards: Shards | None = None,
    ) -> None:
        known = np.asarray(labels, dtype=np.int64)
        super().__init__(len(known), seed, shards)
        self.unlabelled = np.flatnonzero(known < 0)
        self.members = [np.flatnonzero(known == index) for index in range(len(shares))]
        self.quotas = quotas(self.rows - len(self.unlabelled), shares)
        for index, (members, quota) in enumerate(zip(self.members, self.quotas, strict=True)):
            if quota > 0 and len(members) == 0:
                raise DataError(f"class {index} is to be visited {quota} times in an epoch, but it has no rows")

    def visits(self) -> Rows:
        """The visits of unlabelled rows, and each class's share."""
        of_classes = [self._of_class(index, quota) for index, quota in enumerate(self.quotas) if quota]
        return np.concatenate([self.unlabelled + self.epoch * self.rows, *of_classes])

    def _of_class(self, index: int, quota: int) -> Rows:
        """This epoch's visits of a class: the next `quota` from place `epoch * quota` in the sequence of its passes."""
        members = self.members[index]
        places = np.arange(self.epoch * quota, (self.epoch + 1) * quota)
        passes = places // len(members)
        stream = f"sampling/{index}"
        order = {number: _shuffled(members, self.seed, stream, number) for number in range(passes[0], passes[-1] + 1)}
        rows = np.concatenate([order[number] for number in order])[places - passes[0] * len(members)]
        visits: Rows = ((passes - passes[0]) * EPOCHS + self.epoch) * self.rows + rows
        return visits


def quotas(total: int, shares: Sequence[float]) -> list[int]:
    """Apportions a total in proportion to shares, by the largest-remainder method; ties go to the first.

    Args:
        total: the sum of the result.
        shares: at least 0, not all 0.

    Example:
        >>> quotas(10, [1, 1, 1])
        [4, 3, 3]
    """
    exact = [total * share / math.fsum(shares) for share in shares]
    found = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda index: found[index] - exact[index])
    for index in by_remainder[: total - sum(found)]:
        found[index] += 1
    return found


def class_shares(sampling: Any, classes: Sequence[str]) -> list[float] | None:
    """Converts `loader.sampling` to a weight for each class, or to None if every row is visited once.

    Args:
        sampling: `uniform`, `balanced`, or a list with one weight for each class.
        classes: names of the classes.

    Raises:
        ConfigError: an unknown name, weights that do not match the classes, or data without classes.
    """
    if sampling == "uniform":
        return None
    if isinstance(sampling, str) and sampling not in SAMPLINGS:
        hint = f"{nearest(sampling, SAMPLINGS)}; or give one weight for each class"
        raise ConfigError(f"loader.sampling is '{sampling}': {hint}")
    if len(classes) < 2:
        raise ConfigError(f"loader.sampling is {sampling}, but the data have no classes; use uniform")
    weights: Any = [1.0] * len(classes) if sampling == "balanced" else sampling
    if not isinstance(weights, Sequence) or not all(_is_weight(weight) for weight in weights) or not any(weights):
        raise ConfigError(f"loader.sampling is {sampling}, but must be uniform, balanced or a list of weights >= 0")
    if len(weights) != len(classes):
        names = ", ".join(classes)
        raise ConfigError(
            f"loader.sampling has {len(weights)} weights for {len(classes)} classes ({names}); give one for each class"
        )
    return [float(weight) for weight in weights]


def visits_by_class(samples: Samples, shares: Sequence[float], classes: Sequence[str]) -> dict[str, int]:
    """Returns the number of visits of each class in an epoch.

    Raises:
        DataError: a class with a positive weight has no row in the split.
    """
    present = set(samples.labels.tolist())
    for index, (share, name) in enumerate(zip(shares, classes, strict=True)):
        if share and index not in present:
            raise DataError(
                f"loader.sampling gives class '{name}' a share, but has no training images; "
                "use uniform, or a list with the weight 0 for that class"
            )
    sampler = ClassSampler(samples.labels, shares, 0)
    return dict(zip(classes, sampler.quotas, strict=True))


def _is_weight(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf


def _shuffled(members: Rows, seed: int, stream: str, number: int) -> Rows:
    """The rows of a class in the order of pass number `number`."""
    count = len(members)
    order = np.argsort(keys(seed, stream, np.arange(number * count, (number + 1) * count)))
    shuffled: Rows = members[order]
    return shuffled
