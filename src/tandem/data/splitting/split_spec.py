"""How a data set is split: by fractions, by folds, as published, or as listed in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.data.files.faults import refuse
from tandem.data.files.names import nfc
from tandem.data.samples import SPLITS
from tandem.data.splitting.splits import check_fractions, read_splits, split_rows
from tandem.errors import ConfigError, DataError

FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}

Rows = dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class SplitSpec:
    """The options of a split.

    A file takes precedence over folds, folds over a published split, and a published split over fractions.

    Attributes:
        fractions: shares of `train`, `val` and `test`, above 0, summing to 1. With folds, or with a published split
            that has no `val`, validation gets `val / (train + val)` of the rows outside the test split.
        seed: random seed of the split; 0 or more.
        folds: number of folds, at least 2, or None. The assignment of rows to folds does not depend on `fold`.
        fold: the fold to test on, from 0; given with `folds` only.
        file: csv file with the columns `id,split`, such as the `splits.csv` of another run, or None.

    Raises:
        ConfigError: a value out of range.
    """

    fractions: Mapping[str, float] = field(default_factory=lambda: dict(FRACTIONS))
    seed: int = 0
    folds: int | None = None
    fold: int | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Checks the options before any file is read."""
        object.__setattr__(self, "fractions", check_fractions(self.fractions))
        if type(self.seed) is not int or self.seed < 0:
            raise ConfigError(f"data.split_seed is {self.seed!r}, but must be a whole number from 0")
        if self.folds is None and self.fold is not None:
            raise ConfigError(f"data.fold is {self.fold!r}, but there are no folds; give data.folds too, such as 5")
        if self.folds is None:
            return
        if type(self.folds) is not int or self.folds < 2:
            raise ConfigError(f"data.folds is {self.folds!r}, but must be a whole number from 2, or null")
        if type(self.fold) is not int or not 0 <= self.fold < self.folds:
            given = "null" if self.fold is None else repr(self.fold)
            raise ConfigError(f"data.fold is {given}, but must be one of 0 to {self.folds - 1} (data.folds)")
        if self.file is not None:
            raise ConfigError("data.folds and data.split_file are both given; choose one of them")

    def rows(
        self,
        ids: Sequence[str],
        labels: Sequence[int],
        groups: Sequence[str],
        classes: Sequence[str] = (),
        masked: Sequence[int] | None = None,
        published: Sequence[str] = (),
        left_out: bool = False,
    ) -> Rows:
        """Splits rows.

        Args:
            ids: N names.
            labels: N class indices, -100 where unknown.
            groups: N names; rows with the same name stay together, unless a file or a published split overrides it.
            classes: names of the classes; each must occur in every split that is drawn.
            masked: N numbers that distinguish rows without a mask, with an empty one and with a filled one.
            published: N names of splits, or empty; `val` need not occur.
            left_out: whether faulty rows were left out; a file may still list them.

        Returns:
            The row indices of `train`, `val` and `test`, ascending.

        Raises:
            DataError: the file does not match the data, a split lacks a class, or a published split has no test rows.
        """
        everything = np.arange(len(ids))
        draw = _Draw(np.asarray(labels), np.asarray(groups), None if masked is None else np.asarray(masked), classes)
        if self.file is not None:
            return _as_listed(Path(self.file).expanduser(), ids, left_out)
        if self.folds is not None:
            folds = draw(everything, {f"fold {index}": 1 / self.folds for index in range(self.folds)}, self.seed)
            test = folds[f"fold {self.fold}"]
            return {**self._carve(draw, np.setdiff1d(everything, test)), "test": test}
        if published:
            return self._published(draw, np.asarray(published))
        return draw(everything, self.fractions, self.seed)

    def _published(self, draw: "_Draw", published: NDArray[np.str_]) -> Rows:
        rows = {split: np.flatnonzero(published == split) for split in SPLITS}
        if absent := [split for split in ("train", "test") if len(rows[split]) == 0]:
            raise DataError(
                f"the published split of the data set has no rows in {' and '.join(absent)}; "
                "draw a new split with data.resplit=true"
            )
        return rows if len(rows["val"]) else {**self._carve(draw, rows["train"]), "test": rows["test"]}

    def _carve(self, draw: "_Draw", rows: NDArray[np.int64]) -> Rows:
        """Draws the validation split from the rows outside the test split."""
        share = self.fractions["val"] / (self.fractions["train"] + self.fractions["val"])
        return draw(rows, {"train": 1 - share, "val": share}, self.seed)


@dataclass(frozen=True)
class _Draw:
    """Splits some of the rows by shares."""

    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    masked: NDArray[np.int64] | None
    classes: Sequence[str]

    def __call__(self, rows: NDArray[np.int64], shares: Mapping[str, float], seed: int) -> Rows:
        masked = None if self.masked is None else self.masked[rows]
        within = split_rows(self.labels[rows], self.groups[rows].tolist(), shares, seed, self.classes, masked)
        return {split: rows[part] for split, part in within.items()}


def _as_listed(path: Path, ids: Sequence[str], left_out: bool) -> Rows:
    split_of = {nfc(name): split for name, split in read_splits(path).items()}  # of both spellings of accents
    known = {nfc(name) for name in ids}
    faults = [
        f"{str(path)!r} does not list {name!r}: add it to data.split_file" for name in ids if nfc(name) not in split_of
    ]
    faults += [
        f"{str(path)!r} lists {name!r}, which the data set does not have: fix data.split_file"
        for name in split_of
        if name not in known and not left_out
    ]
    refuse(faults, len(known | split_of.keys()), "ids")
    places = np.array([split_of[nfc(name)] for name in ids])
    return {split: np.flatnonzero(places == split) for split in SPLITS}
