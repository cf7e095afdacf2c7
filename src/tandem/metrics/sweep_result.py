"""Result of a threshold sweep: the best threshold of each class, and metrics at every threshold."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tandem.errors import ConfigError
from tandem.metrics.counts import Counts, precision, recall
from tandem.metrics.objective import Objective, highest, mean
from tandem.metrics.uncertainty import Interval, Nested, bootstrap, nested


class Curve(NamedTuple):
    """Metrics against threshold, float64; (T,), or (C, T) for C > 1 classes. Undefined values are nan.

    Attributes:
        thresholds: (T,), ascending, float32.
        dice: Dice, aggregated as the objective is.
        precision: precision over all pixels.
        recall: recall over all pixels.
    """

    thresholds: Tensor
    dice: Tensor
    precision: Tensor
    recall: Tensor


class SweepResult:
    """Counts of M images for C yes/no questions at T thresholds, and the metrics computed from them.

    A pixel counts as yes where `p >= threshold`. Metrics are float64 tensors, scalar for C = 1 and of shape (C,) for
    C > 1; `result[c]` is the result of one class.

    Args:
        thresholds: (T,) ascending, float32.
        counts: counts of each image, (M, C, T) and (M, C, 1) int64; M = 1 if counts were not kept by image.
        objective: the objective that the best threshold maximises.
        images: whether counts were kept by image.
    """

    # not a dataclass: torchmetrics would apply functions to its fields and drop dimensions of length 1
    def __init__(self, thresholds: Tensor, counts: Counts, objective: Objective, images: bool = True) -> None:
        self.thresholds = thresholds
        self.counts = counts
        self.objective = objective
        self.images = images
        self.interval: Interval | None = None

    def __repr__(self) -> str:
        return f"<SweepResult of {len(self)} classes; for one number make the metric with DiceSweep(value='dice')>"

    def __len__(self) -> int:
        """Number of classes."""
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
        """Returns the same counts with another objective, for instance `by(aggregate="per_image")`.

        Raises:
            ConfigError: the objective is invalid, or needs a mean over images but counts were not kept by image.
        """
        objective = replace(self.objective, **changes)
        counts = self._single() if objective.aggregate == "per_image" else self.counts
        return SweepResult(self.thresholds, counts, objective, self.images)

    @property
    def threshold(self) -> Tensor:
        """The threshold that maximises the objective.

        Ties are resolved in favour of the threshold nearest to 0.5, then of the lower one. Without any foreground all
        thresholds tie.
        """
        return self._shaped(self.thresholds.double()[self.best()])

    @property
    def dice(self) -> Tensor:
        """Dice at the best threshold, optimistic on the data that chose it; nan without foreground."""
        return self._at_best("dice")

    @property
    def iou(self) -> Tensor:
        """IoU at the best threshold."""
        return self._at_best("iou")

    @property
    def score(self) -> Tensor:
        """The objective at the best threshold."""
        return self._shaped(self.objective.score(self.counts).gather(1, self.best()[:, None])[:, 0])

    @property
    def curve(self) -> Curve:
        """Dice, precision and recall at every threshold."""
        summed = self.counts.summed()
        lines = (self.measure("dice"), precision(summed), recall(summed))
        return Curve(self.thresholds, *(self._shaped(line) for line in lines))

    def dice_at(self, threshold: float) -> Tensor:
        """Dice at one of the sweep's thresholds.

        Raises:
            ValueError: the sweep does not have this threshold.
        """
        return self._shaped(self.measure("dice")[:, self.index_of(threshold)])

    def measure(self, name: str) -> Tensor:
        """(C, T) a metric at every threshold: `dice`, `iou`, `fbeta`, or one of `tandem.metrics.counts.MEASURES`."""
        return self.objective.measure(name, self.counts)

    def specificity_empty(self) -> Tensor:
        """(C, T) share of the images without foreground whose prediction is empty; nan if there are no such images.

        Raises:
            ConfigError: counts were not kept by image.
        """
        counts = self._single()
        empty = (counts.positives == 0) & (counts.negatives > 0)
        return mean(torch.where(empty, (counts.fp == 0).double(), torch.nan))

    def best(self, candidates: Tensor | None = None) -> Tensor:
        """(C,) index of the best threshold of each class; see `threshold`.

        Args:
            candidates: (T,) bool mask of the thresholds that may be chosen; None: all.
        """
        return highest(self.objective.rank(self.counts), self.thresholds, candidates)

    def index_of(self, threshold: float) -> int:
        """Index of one of the sweep's thresholds.

        Raises:
            ValueError: the sweep does not have this threshold.
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
        """Score on images that did not choose the threshold; see `tandem.metrics.uncertainty.nested`."""
        found = nested(self.thresholds, self._single(), self.objective, repeats, seed, groups)
        return Nested(*map(self._shaped, found))

    def _single(self) -> Counts:
        """Counts of each image.

        Raises:
            ConfigError: counts were not kept by image.
        """
        if not self.images:
            raise ConfigError("this sweep does not keep counts by image; create it with images=True")
        return self.counts

    def _at_best(self, name: str) -> Tensor:
        return self._shaped(self.measure(name).gather(1, self.best()[:, None])[:, 0])

    def _shaped(self, values: Tensor) -> Tensor:
        """Drops the first dimension of (C, ...) values if there is only one class."""
        return values[0] if len(self) == 1 else values
