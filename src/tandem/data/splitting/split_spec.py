"""How a data set is divided: by fractions, by folds, as published, or as a file says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.data.files.faults import refuse
from tandem.data.samples import SPLITS
from tandem.data.splitting.splits import check_fractions, read_splits, split_rows
from tandem.errors import ConfigError, DataError

FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}

Rows = dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class SplitSpec:
    """The settings of a division.

    A file goes before folds, folds before a published division, and that before fractions.

    Attributes:
        fractions: shares of `train`, `val` and `test`, above 0, together 1. With folds or a published division without
            `val`, validation gets `val / (train + val)` of what is not tested on.
        seed: draws the division; 0 or more.
        folds: number of folds, at least 2, or None. Which row is in which fold does not depend on `fold`.
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
        """Refuses what cannot work, before any file is touched."""
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
        """Divides rows.

        Args:
            ids: N names.
            labels: N class indices, -100 where unknown.
            groups: N names; rows of one name stay together, unless a file or a published division says otherwise.
            classes: names of the classes; each must be in every split that is drawn.
            masked: N numbers that tell rows without, with an empty and with a filled mask apart.
            published: N names of splits, or nothing; `val` may be left out of it.
            left_out: whether faulty rows were left out, which a file may still list.

        Returns:
            The rows of `train`, `val` and `test`, ascending.

        Raises:
            DataError: a file that does not fit, a class missing from a split, a published division without a test.
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
                f"the division that the data set brings has no rows in {' and '.join(absent)}; "
                "divide it anew with data.resplit=true"
            )
        return rows if len(rows["val"]) else {**self._carve(draw, rows["train"]), "test": rows["test"]}

    def _carve(self, draw: "_Draw", rows: NDArray[np.int64]) -> Rows:
        """Validation out of what is left when the test is taken away."""
        share = self.fractions["val"] / (self.fractions["train"] + self.fractions["val"])
        return draw(rows, {"train": 1 - share, "val": share}, self.seed)


@dataclass(frozen=True)
class _Draw:
    """Divides some of the rows by shares."""

    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    masked: NDArray[np.int64] | None
    classes: Sequence[str]

    def __call__(self, rows: NDArray[np.int64], shares: Mapping[str, float], seed: int) -> Rows:
        masked = None if self.masked is None else self.masked[rows]
        within = split_rows(self.labels[rows], self.groups[rows].tolist(), shares, seed, self.classes, masked)
        return {split: rows[part] for split, part in within.items()}


def _as_listed(path: Path, ids: Sequence[str], left_out: bool) -> Rows:
    split_of = read_splits(path)
    known = set(ids)
    faults = [
        f"{str(path)!r} does not list {name!r}: add it to data.split_file" for name in ids if name not in split_of
    ]
    faults += [
        f"{str(path)!r} lists {name!r}, which the data set does not have: mend data.split_file"
        for name in split_of
        if name not in known and not left_out
    ]
    refuse(faults, len(known | split_of.keys()), "ids")
    places = np.array([split_of[name] for name in ids])
    return {split: np.flatnonzero(places == split) for split in SPLITS}
