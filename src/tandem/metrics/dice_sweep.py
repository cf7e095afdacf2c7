"""Computes Dice, or another objective, at every threshold in one pass over the probabilities."""

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


VALUES = ("score", "dice", "iou", "threshold", "dice_at_0.5")
"""Numbers that `compute` can return: at the best threshold the objective, Dice and IoU; the threshold; Dice at 0.5."""

FIXED = 0.5


class DiceSweep(Metric):
    """Keeps histograms of probabilities by class of pixel, from which Dice at any threshold is computed.

    Every pixel is read once, and time and memory hardly grow with the number of thresholds. A pixel counts as yes where
    `p >= threshold`, exactly as in a loop over thresholds. Thresholds are float32; probabilities of lower precision are
    compared in float32, float64 probabilities in float64. Counts, not ratios, are accumulated, so the result does not
    depend on batch size, order or number of processes. `update` does not synchronise with the device, so invalid values
    are only counted there, and reported by `compute`.

    Memory: 8 (T + 1) bytes per channel and class of pixel; half of that per image if counts are kept by image.

    Args:
        thresholds: increasing, inside (0, 1); or `exact` for `logit_thresholds()`, which finds the best of all distinct
            probabilities up to 0.01 logits.
        aggregate: `global` (counts are summed over all images, and divided once) or `per_image` (mean over images).
        objective: what the best threshold maximises: `dice` (also called `f1`), `iou`, `fbeta`, `youden`
            (sensitivity + specificity - 1), or `sensitivity` subject to a specificity of at least `specificity`. The
            last two are always global.
        beta: weight of recall relative to precision in `fbeta`.
        specificity: lowest specificity allowed with `sensitivity`.
        empty: images without foreground in a mean over images: `skip` (left out) or `score` (1 if the prediction is
            empty, 0 otherwise).
        images: whether to keep counts by image, which intervals need; None: only if `aggregate` is `per_image`.
        value: None: `compute` returns the whole `SweepResult`. One of `VALUES`: it returns this number, a float32
            scalar, the mean over several channels that leaves out undefined ones. So the metric can be given to
            `self.log` of any LightningModule, and to a `MetricCollection`.

    Raises:
        ConfigError: thresholds are invalid, a name is unknown, or a number is out of range.

    Example:
        >>> sweep = DiceSweep([0.3, 0.5])
        >>> sweep.update(torch.tensor([[[[0.4, 0.9]]]]), torch.tensor([[[[1, 1]]]]))
        >>> result = sweep.compute()
        >>> round(float(result.threshold), 2), float(result.dice), result.curve.dice
        (0.3, 1.0, tensor([1.0000, 0.6667], dtype=torch.float64))
        >>> DiceSweep([0.3, 0.5], value="dice")(torch.tensor([[0.4], [0.9]]), torch.tensor([[1], [1]]))
        tensor(1.)
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
        value: str | None = None,
        **options: Any,
    ) -> None:
        if value is not None and value not in VALUES:
            raise ConfigError(f"value is '{value}', but must be one of {', '.join(VALUES)}, or None for all of them")
        super().__init__(**{"compute_with_cache": False, **options})  # a cache would ignore the arguments of `compute`
        self.objective = Objective(objective, aggregate, beta, specificity, empty)
        self.images = aggregate == "per_image" if images is None else images
        if aggregate == "per_image" and not self.images:
            raise ConfigError("images=False, but a mean over images needs counts by image; set images=True")
        self.register_buffer("thresholds", _grid(thresholds), persistent=False)
        self.buckets = Buckets(self.thresholds)
        self.value = value
        if value == "dice_at_0.5" and FIXED not in self.thresholds:
            raise ConfigError("value is 'dice_at_0.5', but 0.5 is not among the thresholds; add it")
        self.width: int | None = None
        # flat, because torchmetrics gathers only tensors with equally many dimensions, and a rank may have no batch
        self.add_state("counted", default=[], dist_reduce_fx="cat")
        self.add_state("channels", default=torch.tensor(1), dist_reduce_fx="max")
        self.add_state("faults", default=torch.zeros(3, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch.

        Args:
            probabilities: (N, C, *spatial) in [0, 1], any floating type.
            target: same shape, any type, with values 0, 1 and 255 (missing, ignored).

        Raises:
            DataError: the shapes differ or are not (N, C, ...), or the number of classes differs from earlier batches.
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

    def compute(self, ci: bool = False, samples: int = 1000, level: float = 0.95, seed: int = 0) -> Any:
        """Computes the best threshold of each class, and the metrics at every threshold.

        Returns a `SweepResult`, or the number that `value` names.

        A probability that is nan, where the target is known, makes every number nan, of every class.

        Args:
            ci: whether to compute a bootstrap `interval` over images.
            samples: number of bootstrap samples.
            level: confidence level of the interval.
            seed: seed of the bootstrap.

        Raises:
            DataError: a probability is outside of [0, 1], or a target is invalid.
            ConfigError: an interval needs counts by image, but they were not kept.
        """
        wrong, unknown, outside = self.faults.tolist()
        if wrong:
            raise DataError(f"{wrong} target values are not 0, 1 or {MISSING_PIXEL} (missing)")
        if outside:
            raise DataError(
                f"{outside} probabilities are outside of [0, 1]; pass probabilities, not logits or percentages"
            )
        counts = self._counts()
        if unknown:
            counts = Counts(*(torch.zeros_like(part) for part in counts))  # nothing is known, so every ratio is nan
        result = SweepResult(self.thresholds.cpu(), counts, self.objective, self.images)
        if ci:
            result.interval = result.bootstrap(samples, level, seed)
        return result if self.value is None else self._number(result)

    def _number(self, result: SweepResult) -> Tensor:
        """One number of all channels, where Lightning expects it: on the metric's device."""
        found: Tensor = result.dice_at(FIXED) if self.value == "dice_at_0.5" else getattr(result, str(self.value))
        return found.nanmean().to(self.thresholds.device, torch.float32)

    def reset(self) -> None:
        """Reset all counts."""
        super().reset()
        self.width = None

    def sync(self, *arguments: Any, **options: Any) -> None:
        """Gather the counts of all ranks; a rank without batches contributes none."""
        if not len(self.counted):
            self.counted = [self.faults.new_zeros(0, dtype=torch.int32 if self.images else torch.int64)]
        super().sync(*arguments, **options)

    def _counts(self) -> Counts:
        flat = dim_zero_cat(self.counted) if len(self.counted) else self.faults.new_zeros(0)
        kinds = flat.cpu().long().view(-1, int(self.channels), 2, len(self.thresholds) + 1)
        if not self.images:
            kinds = kinds.sum(0, keepdim=True)
        passed = kinds.flip(-1).cumsum(-1).flip(-1)  # number of pixels that pass at least k thresholds
        fp, tp = passed[..., 1:].unbind(2)
        negatives, positives = passed[..., :1].unbind(2)
        return Counts(tp, fp, positives, negatives)


def logit_thresholds(limit: float = 12.0, step: float = 0.01) -> Tensor:
    """Thresholds with equal spacing in logits: sigmoid(k step) for integer k, from -limit to limit.

    The grid is fine near 0 and near 1. Neighbouring thresholds differ by about step p (1 - p): by 0.0025 at p = 0.5,
    and by 1 % of p near 0. The defaults give 2401 thresholds from 6e-6 to 1 - 6e-6.

    Args:
        limit: largest logit, in (0, 12]; beyond that float32 is too coarse near 1.
        step: distance in logits, at least 0.01 for the same reason.

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
