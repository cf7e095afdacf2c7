"""How often an epoch visits each row: once, or by the shares that its class is to have."""

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
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError

SAMPLINGS = ("uniform", "balanced")
"""Words that `loader.sampling` may be; it may also be one weight for each class."""

EPOCHS = 2**20
"""More epochs than any run has: the second visit of a row in epoch e counts as its visit in epoch e + EPOCHS."""

Rows = NDArray[np.int64]


class VisitSampler(Sampler[int]):
    """Base of the samplers of training: an epoch's visits in an order that depends on (seed, epoch) alone.

    Gives *visits*, not rows: numbers that are `row` modulo the number of rows and differ for each visit of a training.
    So a worker process, which never learns of the epoch, can tell the row and the random numbers that belong to the
    visit, and the order of a resumed run is that of an uninterrupted one.

    Args:
        rows: rows of the split, and visits of an epoch.
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
        return iter(torch.from_numpy(self.visits())[order].tolist())

    @abstractmethod
    def visits(self) -> Rows:
        """The epoch's visits in any order, (rows,) int64."""


class ClassSampler(VisitSampler):
    r"""Visits the rows of some classes more often than those of others, in as many visits an epoch as there are rows.

    Of the \(L\) labelled rows' visits class c gets \(q_c = L w_c / \sum_k w_k\), rounded so that they sum to \(L\);
    rows without a label are visited once each. Nothing is drawn with replacement: the rows of a class come in one
    endless sequence of shuffled passes, of which an epoch takes the next \(q_c\). So after any number of epochs the
    visits of two rows of one class differ by one at most, and no row is forgotten. All of it is a function of
    (seed, epoch), so workers do not matter and a resumed run goes on with the rows of an unbroken one.

    A visit is `(repeat * EPOCHS + epoch) * rows + row`: a row that comes several times in an epoch has augmentation of
    its own each time.

    Args:
        labels: (N,) class index of each row, below 0 where unknown.
        shares: a weight \(w_c\) for each class, at least 0.
        seed: seed of the order.

    Raises:
        DataError: no row is of a class that is to be visited.
    """

    def __init__(self, labels: Sequence[int] | Rows | torch.Tensor, shares: Sequence[float], seed: int) -> None:
        known = np.asarray(labels, dtype=np.int64)
        super().__init__(len(known), seed)
        self.unlabelled = np.flatnonzero(known < 0)
        self.members = [np.flatnonzero(known == index) for index in range(len(shares))]
        self.quotas = quotas(self.rows - len(self.unlabelled), shares)
        for index, (members, quota) in enumerate(zip(self.members, self.quotas, strict=True)):
            if quota > 0 and len(members) == 0:
                raise DataError(f"class {index} is to be visited {quota} times an epoch, but no row is of it")

    def visits(self) -> Rows:
        """Those of the unlabelled rows, and each class's share."""
        of_classes = [self._of_class(index, quota) for index, quota in enumerate(self.quotas) if quota]
        return np.concatenate([self.unlabelled + self.epoch * self.rows, *of_classes])

    def _of_class(self, index: int, quota: int) -> Rows:
        """This epoch's visits of a class: places `epoch * quota` and on in the sequence of its passes."""
        members = self.members[index]
        places = np.arange(self.epoch * quota, (self.epoch + 1) * quota)
        passes = places // len(members)
        stream = f"sampling/{index}"
        order = {number: _shuffled(members, self.seed, stream, number) for number in range(passes[0], passes[-1] + 1)}
        rows = np.concatenate([order[number] for number in order])[places - passes[0] * len(members)]
        visits: Rows = ((passes - passes[0]) * EPOCHS + self.epoch) * self.rows + rows
        return visits


def quotas(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to some shares, by largest remainder; of equal remainders the first goes first.

    Args:
        total: what they sum to.
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
    """What `loader.sampling` means for some classes: a weight for each, or None where every row is visited once.

    Args:
        sampling: `uniform`, `balanced`, or one weight for each class.
        classes: names of the classes.

    Raises:
        ConfigError: another word, weights that do not fit the classes, or data without classes.
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
        raise ConfigError(f"loader.sampling has {len(weights)} weights for {len(classes)} classes ({names})")
    return [float(weight) for weight in weights]


def visits_by_class(samples: Samples, shares: Sequence[float], classes: Sequence[str]) -> dict[str, int]:
    """How many visits of an epoch each class gets.

    Raises:
        DataError: a class that is to be visited has no row in the split.
    """
    present = set(samples.labels.tolist())
    for index, (share, name) in enumerate(zip(shares, classes, strict=True)):
        if share and index not in present:
            raise DataError(
                f"loader.sampling gives class '{name}' a share, but no training picture is of it; "
                "use uniform, or a list with the weight 0 for that class"
            )
    sampler = ClassSampler(samples.labels, shares, 0)
    return dict(zip(classes, sampler.quotas, strict=True))


def _is_weight(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf


def _shuffled(members: Rows, seed: int, stream: str, number: int) -> Rows:
    """The rows of a class in the order of their pass of this number."""
    count = len(members)
    order = np.argsort(keys(seed, stream, np.arange(number * count, (number + 1) * count)))
    shuffled: Rows = members[order]
    return shuffled
