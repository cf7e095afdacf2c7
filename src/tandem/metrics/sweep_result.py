"""The result of a sweep: the best threshold of each class, and every number at each counted threshold."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tandem.errors import ConfigError
from tandem.metrics.counts import Counts, precision, recall
from tandem.metrics.objective import Objective, highest, mean
from tandem.metrics.uncertainty import Interval, Nested, bootstrap, nested


class Curve(NamedTuple):
    """Numbers against threshold, float64; (T,), or (C, T) for C > 1 classes. Undefined values are nan.

    Attributes:
        thresholds: (T,), ascending, float32.
        dice: of the objective's aggregate.
        precision: over all pixels.
        recall: over all pixels.
    """

    thresholds: Tensor
    dice: Tensor
    precision: Tensor
    recall: Tensor


class SweepResult:
    """Counts of M images for C yes/no questions at T thresholds, and what follows from them.

    A pixel counts as yes where `p >= threshold`. Numbers are float64 tensors without dimension, or of shape (C,) where
    C > 1; `result[c]` is the result of one class.

    Args:
        thresholds: (T,) ascending, float32.
        counts: of single images, (M, C, T) and (M, C, 1) int64; of M = 1 where counts were not kept by image.
        objective: what the best threshold maximises.
        images: whether counts were kept by image.
    """

    # no dataclass: torchmetrics would reach into one and drop dimensions of length 1
    def __init__(self, thresholds: Tensor, counts: Counts, objective: Objective, images: bool = True) -> None:
        self.thresholds = thresholds
        self.counts = counts
        self.objective = objective
        self.images = images
        self.interval: Interval | None = None

    def __len__(self) -> int:
        """How many classes."""
        return self.counts.tp.shape[1]

    @property
    def unknown(self) -> bool:
        """Whether no pixel or row was counted, so that every number is nan."""
        return not bool((self.counts.positives + self.counts.negatives).any())

    def __getitem__(self, channel: int) -> "SweepResult":
        if not -len(self) <= channel < len(self):
            raise IndexError(channel)
        counts = Counts(*(part[:, channel].unsqueeze(1) for part in self.counts))
        return SweepResult(self.thresholds, counts, self.objective, self.images)

    def by(self, **changes: Any) -> "SweepResult":
        """The same counts under another objective, for instance `by(aggregate="per_image")`.

        Raises:
            ConfigError: an invalid objective, or a mean over images without counts by image.
        """
        objective = replace(self.objective, **changes)
        counts = self._single() if objective.aggregate == "per_image" else self.counts
        return SweepResult(self.thresholds, counts, objective, self.images)

    @property
    def threshold(self) -> Tensor:
        """The threshold that maximises the objective.

        Of equally good thresholds it is the nearest to 0.5, then the lower one. Without any foreground all are equally
        good, so it is the nearest to 0.5.
        """
        return self._shaped(self.thresholds.double()[self.best()])

    @property
    def dice(self) -> Tensor:
        """Dice at that threshold, which is optimistic on the data that it was chosen on; nan without foreground."""
        return self._at_best("dice")

    @property
    def iou(self) -> Tensor:
        """IoU at that threshold."""
        return self._at_best("iou")

    @property
    def score(self) -> Tensor:
        """The objective at that threshold."""
        return self._shaped(self.objective.score(self.counts).gather(1, self.best()[:, None])[:, 0])

    @property
    def curve(self) -> Curve:
        """Dice, precision and recall at every threshold."""
        summed = self.counts.summed()
        lines = (self.measure("dice"), precision(summed), recall(summed))
        return Curve(self.thresholds, *(self._shaped(line) for line in lines))

    def dice_at(self, threshold: float) -> Tensor:
        """Dice at a threshold that was counted.

        Raises:
            ValueError: it was not.
        """
        return self._shaped(self.measure("dice")[:, self.index_of(threshold)])

    def measure(self, name: str) -> Tensor:
        """(C, T) a number at every threshold: `dice`, `iou`, `fbeta`, or one of `tandem.metrics.counts.MEASURES`."""
        return self.objective.measure(name, self.counts)

    def specificity_empty(self) -> Tensor:
        """(C, T) share of the images without foreground in which nothing is predicted; nan where there are none.

        Raises:
            ConfigError: counts were not kept by image.
        """
        counts = self._single()
        empty = (counts.positives == 0) & (counts.negatives > 0)
        return mean(torch.where(empty, (counts.fp == 0).double(), torch.nan))

    def best(self, candidates: Tensor | None = None) -> Tensor:
        """(C,) index of the best threshold of each class; see `threshold`.

        Args:
            candidates: (T,) bool, which thresholds may be chosen; all by default.
        """
        return highest(self.objective.rank(self.counts), self.thresholds, candidates)

    def index_of(self, threshold: float) -> int:
        """Index of a threshold that was counted.

        Raises:
            ValueError: it was not.
        """
        hits = (self.thresholds == torch.tensor(threshold, dtype=self.thresholds.dtype)).nonzero()
        if len(hits) == 0:
            raise ValueError(f"threshold {threshold:g} was not counted; add it to the thresholds of the sweep")
        return int(hits[0])

    def bootstrap(
        self, samples: int = 1000, level: float = 0.95, seed: int = 0, groups: Tensor | None = None
    ) -> Interval:
        """Intervals over images, or groups of them; see `tandem.metrics.uncertainty.bootstrap`."""
        found = bootstrap(self.thresholds, self._single(), self.objective, samples, level, seed, groups)
        return Interval(*map(self._shaped, found))

    def nested(self, repeats: int = 100, seed: int = 0, groups: Tensor | None = None) -> Nested:
        """The score on images that did not choose the threshold; see `tandem.metrics.uncertainty.nested`."""
        found = nested(self.thresholds, self._single(), self.objective, repeats, seed, groups)
        return Nested(*map(self._shaped, found))

    def _single(self) -> Counts:
        """Counts of single images.

        Raises:
            ConfigError: counts were not kept by image.
        """
        if not self.images:
            raise ConfigError("this sweep does not keep images apart; make it with images=True")
        return self.counts

    def _at_best(self, name: str) -> Tensor:
        return self._shaped(self.measure(name).gather(1, self.best()[:, None])[:, 0])

    def _shaped(self, values: Tensor) -> Tensor:
        """(C, ...) as it is, without the first dimension where there is one class."""
        return values[0] if len(self) == 1 else values
