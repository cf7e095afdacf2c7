"""Dice, or another objective, at every threshold in one pass over the probabilities."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from tandem.data.batch import MISSING_PIXEL
from tandem.errors import ConfigError, DataError
from tandem.metrics.counts import Counts
from tandem.metrics.histogram import histograms
from tandem.metrics.objective import Aggregate, Empty, Goal, Objective
from tandem.metrics.sweep_result import SweepResult
from tandem.metrics.threshold_index import Buckets

GRID = tuple(round(0.1 + 0.01 * index, 9) for index in range(81))
"""0.10, 0.11, ..., 0.90."""


class DiceSweep(Metric):
    """Keeps histograms of probabilities by kind of pixel, from which Dice at any threshold follows.

    Every pixel is read once, and time and memory hardly grow with the number of thresholds. A pixel counts as yes where
    `p >= threshold`, exactly as in a loop over thresholds: thresholds are float32; a probability of fewer bits is
    compared in float32, one of float64 in float64. Counts, not ratios, are kept, so the result does not depend on batch
    size, order or number of processes. `update` does not synchronise with a device, so faults of a batch are counted
    there and raised in `compute`.

    Memory: 8 (T + 1) bytes for each class and kind of pixel; half of that for each image if counts are kept by image.

    Args:
        thresholds: increasing, inside (0, 1); or `exact`, which stands for `logit_thresholds()`: the best over all
            distinct probabilities, but for those that lie less than 0.01 logits apart.
        aggregate: `global` (counts are summed over all images, and divided once) or `per_image` (mean over images).
        objective: what the best threshold maximises: `dice` (or `f1`, the same), `iou`, `fbeta`, `youden`
            (sensitivity + specificity - 1), or `sensitivity` where the specificity is at least `specificity`. The last
            two are global.
        beta: of `fbeta`: how many times as much recall weighs as precision.
        specificity: the lowest specificity allowed with `sensitivity`.
        empty: images without foreground in a mean over images: `skip` (they do not count) or `score` (1 where nothing
            is predicted, 0 otherwise).
        images: whether counts are kept by image, which intervals need; by default where `aggregate` is `per_image`.

    Raises:
        ConfigError: invalid thresholds, an unknown name, a number out of range.

    Example:
        >>> sweep = DiceSweep([0.3, 0.5])
        >>> sweep.update(torch.tensor([[[[0.4, 0.9]]]]), torch.tensor([[[[1, 1]]]]))
        >>> result = sweep.compute()
        >>> round(float(result.threshold), 2), float(result.dice), result.curve.dice
        (0.3, 1.0, tensor([1.0000, 0.6667], dtype=torch.float64))
    """

    full_state_update = False
    thresholds: Tensor
    counted: list[Tensor]
    channels: Tensor
    faults: Tensor

    def __init__(
        self,
        thresholds: Sequence[float] | Tensor | Literal["exact"] = GRID,
        aggregate: Aggregate = "global",
        objective: Goal = "dice",
        beta: float = 1.0,
        specificity: float = 0.9,
        empty: Empty = "skip",
        images: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**{"compute_with_cache": False, **options})  # a cache would ignore what `compute` is asked for
        self.objective = Objective(objective, aggregate, beta, specificity, empty)
        self.images = aggregate == "per_image" if images is None else images
        if aggregate == "per_image" and not self.images:
            raise ConfigError("images=False, but the mean over images needs them apart")
        self.register_buffer("thresholds", _grid(thresholds), persistent=False)
        self.buckets = Buckets(self.thresholds)
        self.width: int | None = None
        # flat, since torchmetrics gathers only tensors of equal dimensions, and a process may have seen no batch
        self.add_state("counted", default=[], dist_reduce_fx="cat")
        self.add_state("channels", default=torch.tensor(1), dist_reduce_fx="max")
        self.add_state("faults", default=torch.zeros(3, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch.

        Args:
            probabilities: (N, C, *spatial) in [0, 1], any floating type.
            target: of the same shape, any type, with 0, 1 and 255 (missing: left out at any probability).

        Raises:
            DataError: shapes that differ, or are not (N, C, ...); another number of classes than in the batch before.
        """
        if probabilities.shape != target.shape or probabilities.ndim < 2 or not probabilities.shape[1]:
            shapes = f"probabilities are {tuple(probabilities.shape)}, but the target {tuple(target.shape)}"
            raise DataError(f"{shapes}; both must be (N, C, ...)")
        count, channels = probabilities.shape[:2]
        size = math.prod(probabilities.shape[2:])
        if self.width not in (None, channels):
            raise DataError(f"{channels} classes in this batch, but {self.width} in those before it")
        self.width = channels
        self.channels = torch.full_like(self.channels, channels)
        parts = probabilities.detach(), target
        if self.images:
            p, truth = (part.reshape(count * channels, size) for part in parts)
        else:
            p, truth = (part.transpose(0, 1).reshape(channels, count * size) for part in parts)
        found = histograms(p, truth, self.buckets)
        known, wrong = found[:, 1:3], found[:, 3]
        self.faults = self.faults + torch.stack([wrong.sum(), known[..., -1].sum(), known[..., -2].sum()])
        counted = known[..., :-2].flatten()
        if self.images:
            self.counted.append(counted.to(torch.int32))
        else:
            self.counted = [sum(self.counted, start=counted)]

    def compute(self, ci: bool = False, samples: int = 1000, level: float = 0.95, seed: int = 0) -> SweepResult:
        """The best threshold of each class, and everything else that follows from the counts.

        A probability that is nan, where the target is known, makes every number nan, of every class.

        Args:
            ci: whether the result has an `interval`, by bootstrap over images.
            samples: of the bootstrap.
            level: share of the samples inside the interval.
            seed: of the bootstrap.

        Raises:
            DataError: a probability outside of [0, 1], or an invalid target.
            ConfigError: an interval, but counts were not kept by image.
        """
        wrong, unknown, outside = self.faults.tolist()
        if wrong:
            raise DataError(f"{wrong} target values are none of 0, 1 and {MISSING_PIXEL} (missing)")
        if outside:
            raise DataError(f"{outside} probabilities lie outside of [0, 1]; logits or percentages were given")
        counts = self._counts()
        if unknown:
            counts = Counts(*(torch.zeros_like(part) for part in counts))  # nothing is known, so every ratio is nan
        result = SweepResult(self.thresholds.cpu(), counts, self.objective, self.images)
        if ci:
            result.interval = result.bootstrap(samples, level, seed)
        return result

    def reset(self) -> None:
        """Reset all counts."""
        super().reset()
        self.width = None

    def sync(self, *arguments: Any, **options: Any) -> None:
        """Gather the counts of all processes; one that has seen no batch contributes none."""
        if not len(self.counted):
            self.counted = [self.faults.new_zeros(0, dtype=torch.int32 if self.images else torch.int64)]
        super().sync(*arguments, **options)

    def _counts(self) -> Counts:
        flat = dim_zero_cat(self.counted) if len(self.counted) else self.faults.new_zeros(0)
        kinds = flat.cpu().long().view(-1, int(self.channels), 2, len(self.thresholds) + 1)
        if not self.images:
            kinds = kinds.sum(0, keepdim=True)
        passed = kinds.flip(-1).cumsum(-1).flip(-1)  # how many pass at least k thresholds
        fp, tp = passed[..., 1:].unbind(2)
        negatives, positives = passed[..., :1].unbind(2)
        return Counts(tp, fp, positives, negatives)


def logit_thresholds(limit: float = 12.0, step: float = 0.01) -> Tensor:
    """sigmoid(k step) for whole k, from -limit to limit: as fine for rare classes near 0 as for certain ones near 1.

    Between two neighbours p changes by step p (1 - p): by 0.25 % in the middle, by 1 % of itself near 0. With the
    defaults there are 2401, from 6e-6 to 1 - 6e-6.

    Args:
        limit: the largest logit, in (0, 12]; beyond that float32 has too few numbers.
        step: at least 0.01, for the same reason.

    Returns:
        (T,) float32.

    Raises:
        ConfigError: a value out of range.
    """
    if not 0 < limit <= 12 or not 0.01 <= step <= limit:
        raise ConfigError(f"limit={limit}, step={step}: need 0 < limit <= 12 and 0.01 <= step <= limit")
    most = int(limit / step + 1e-6)
    return torch.sigmoid(torch.arange(-most, most + 1, dtype=torch.float64) * step).float()


def _grid(thresholds: Sequence[float] | Tensor | str) -> Tensor:
    if isinstance(thresholds, str):
        if thresholds != "exact":
            raise ConfigError(f"thresholds are '{thresholds}', but must be numbers or 'exact'")
        return logit_thresholds()
    grid = torch.as_tensor(thresholds, dtype=torch.float32).detach().clone()
    if grid.ndim != 1 or not len(grid) or not bool((grid.diff() > 0).all()) or not 0 < grid[0] <= grid[-1] < 1:
        raise ConfigError(f"thresholds {grid.flatten()[:5].tolist()} must increase inside (0, 1)")
    return grid
