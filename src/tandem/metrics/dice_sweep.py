"""Dice at every threshold in one pass over the probabilities."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from tandem.data.batch import MISSING_PIXEL
from tandem.errors import ConfigError, DataError
from tandem.metrics.sweep_result import SweepResult


class DiceSweep(Metric):
    """Keeps a histogram of probabilities for each image and kind of pixel, from which Dice at any threshold follows.

    Every pixel is looked at once, however many thresholds there are. A pixel counts as yes where `p >= threshold`,
    compared in float32, exactly as a loop over thresholds would. Counts, not ratios, are kept, so the result does not
    depend on batch size, order or number of processes.

    Args:
        thresholds: increasing, inside (0, 1).

    Raises:
        ConfigError: thresholds that are not that.

    Example:
        >>> sweep = DiceSweep([0.3, 0.5])
        >>> sweep.update(torch.tensor([[[[0.4, 0.9]]]]), torch.tensor([[[[1, 1]]]]))
        >>> sweep.compute()[0].curve("global")
        tensor([1.0000, 0.6667], dtype=torch.float64)
    """

    full_state_update = False
    thresholds: Tensor
    histograms: list[Tensor]
    not_a_number: Tensor
    not_a_target: Tensor

    def __init__(self, thresholds: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        grid = torch.as_tensor(thresholds, dtype=torch.float32)
        if len(grid) == 0 or not bool((grid.diff() > 0).all()) or not 0 < float(grid[0]) <= float(grid[-1]) < 1:
            raise ConfigError(f"thresholds {list(thresholds)[:5]} must increase inside (0, 1)")
        self.register_buffer("thresholds", grid, persistent=False)
        self.add_state("histograms", default=[], dist_reduce_fx="cat")
        self.add_state("not_a_number", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("not_a_target", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch.

        Args:
            probabilities: (N, C, *spatial), any floating type.
            target: of the same shape, with 0, 1 and 255 (counts nowhere).

        Raises:
            DataError: shapes that differ.
        """
        if probabilities.shape != target.shape:
            raise DataError(f"probabilities are {tuple(probabilities.shape)}, but the target {tuple(target.shape)}")
        p, kind = probabilities.float().contiguous(), target.long()
        missing = kind == MISSING_PIXEL
        # noted here, refused in `compute`, so that no batch waits for the device
        self.not_a_number = self.not_a_number + (p.isnan() & ~missing).sum()
        self.not_a_target = self.not_a_target + ((target != 0) & (target != 1) & ~missing).sum()
        bins = len(self.thresholds) + 1
        # the number of thresholds that are <= p, so that `p >= threshold[k]` where it exceeds k
        passed = torch.bucketize(p, self.thresholds, right=True)
        images, channels = p.shape[0], p.shape[1]
        row = torch.arange(images * channels, device=p.device).view(images, channels, *[1] * (p.ndim - 2))
        kind = kind.clamp(0, 2)
        flat = ((row * 3 + kind) * bins + passed).flatten()
        counts = torch.bincount(flat, minlength=images * channels * 3 * bins)
        self.histograms.append(counts.view(images, channels, 3, bins)[:, :, :2].to(torch.int32))

    def compute(self) -> list[SweepResult]:
        """One `SweepResult` for each channel.

        Raises:
            DataError: a probability was not a number, or a target outside its set.
        """
        if int(self.not_a_target):
            raise DataError(f"{int(self.not_a_target)} target values are none of 0, 1 and {MISSING_PIXEL} (missing)")
        if int(self.not_a_number):
            raise DataError(f"{int(self.not_a_number)} probabilities are not a number; training has diverged")
        counts = dim_zero_cat(self.histograms).long().cpu()
        passed = counts.flip(-1).cumsum(-1).flip(-1)  # (M, C, 2, T + 1): how many passed at least k thresholds
        grid = self.thresholds.cpu()
        return [
            SweepResult(
                thresholds=grid,
                true_positives=passed[:, channel, 1, 1:],
                false_positives=passed[:, channel, 0, 1:],
                positives=passed[:, channel, 1, 0],
            )
            for channel in range(counts.shape[1])
        ]
