"""One channel of a binary segmentation: counts for each image, and the metrics computed from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tandem.callbacks.sweep_settings import SweepSettings
from tandem.data.batch import MISSING_PIXEL
from tandem.evaluate.bootstrap import Array, BootstrapSamples, mean_of, ratio
from tandem.evaluate.curve_bands import SCORES, ranking_bands, reliability_bands
from tandem.evaluate.reliability import BINS
from tandem.evaluate.sweeps import bands, threshold_optimism
from tandem.metrics import BinnedAUROC, BinnedCalibrationError, DiceSweep
from tandem.metrics.lesions import match_pieces
from tandem.metrics.overlap import dice_parts
from tandem.utils.files import shortest

FIXED = 0.5

COUNTS = (
    "known", "area_true", "area_predicted", "intersection", "area_predicted_at_0.5", "intersection_at_0.5",
    "lesions_true", "lesions_predicted", "lesions_matched",
)  # fmt: skip
"""Counts of each image, in pixels and in lesions (connected components)."""

COLUMNS = ("threshold", "dice", "iou", *COUNTS)
"""Columns of `images.csv`."""


class Channel:
    """Collects the counts of one channel of a segmentation.

    Args:
        threshold: the applied threshold.
        settings: options of the run's threshold sweep.
    """

    def __init__(self, threshold: float, settings: SweepSettings) -> None:
        self.threshold = threshold
        self.goal = settings.goal(dense=True)
        self.grid = settings.grid(dense=True)
        counted = torch.unique(torch.cat([self.grid, torch.tensor([FIXED, threshold])]))
        goal = self.goal
        self.sweep = DiceSweep(counted, goal.aggregate, goal.goal, goal.beta, goal.specificity, goal.empty, images=True)
        self.pixels = BinnedAUROC()
        self.calibration = BinnedCalibrationError()
        self.counted: list[npt.NDArray[np.int64]] = []
        self.ranked: list[Array] = []
        self.binned: list[Array] = []

    def see(
        self, probabilities: Tensor, target: Tensor, masks: npt.NDArray[np.bool_] | None = None
    ) -> list[Mapping[str, Any]]:
        """Adds a batch.

        Args:
            probabilities: (M, H, W) float32.
            target: (M, H, W) with 0, 1 and 255 (unlabelled).
            masks: (M, H, W) predicted masks; None: where the probability reaches the threshold.

        Returns:
            Values of `COLUMNS` for each image. Dice and IoU are nan without lesion.
        """
        p, truth = probabilities.cpu(), target.cpu()
        for metric in (self.sweep, self.pixels, self.calibration):
            metric.update(p[:, None], truth[:, None])
        drawn = p >= self.threshold if masks is None else torch.from_numpy(masks)
        found = np.stack([self._count(*parts) for parts in zip(p, truth, drawn, strict=True)])
        self.counted.append(found)
        for one, mask in zip(p.numpy(), truth.numpy(), strict=True):
            known = mask != MISSING_PIXEL
            self._bin(one[known].astype(np.float64), mask[known] == 1)
        dice, iou = overlap(found)
        return [
            {"threshold": shortest(self.threshold), "dice": d, "iou": i, **dict(zip(COUNTS, row, strict=True))}
            for d, i, row in zip(dice.tolist(), iou.tolist(), found.tolist(), strict=True)
        ]

    def _count(self, p: Tensor, target: Tensor, mask: Tensor) -> npt.NDArray[np.int64]:
        known, true = target != MISSING_PIXEL, target == 1
        counts = [int(known.sum()), int(true.sum())]
        for drawn in (mask & known, (p >= FIXED) & known):
            counts += [int(drawn.sum()), int((drawn & true).sum())]
        matched, pieces, lesions = match_pieces((mask & known).numpy(), true.numpy(), 0.0)
        return np.array([*counts, lesions, pieces, matched], dtype=np.int64)

    def _bin(self, p: Array, true: npt.NDArray[np.bool_]) -> None:
        """Adds the histograms of an image's pixels, of which the bands are made."""
        by_score = [np.histogram(p[part], SCORES, (0, 1))[0][::-1].astype(np.float64) for part in (true, ~true)]
        self.ranked.append(np.stack(by_score))
        place = np.clip((p * BINS).astype(np.int64), 0, BINS - 1)
        self.binned.append(np.stack([np.bincount(place, part, BINS) for part in (np.ones_like(p), p, true * 1.0)]))

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(M, len(COUNTS)) counts of all images."""
        return np.concatenate(self.counted)

    def lines(self, draws: BootstrapSamples) -> dict[str, Any]:
        """Data of the figures: Dice against threshold (global and per image), curves and reliability of pixels."""
        from tandem.evaluate.ranking import curves
        from tandem.evaluate.reliability import from_sums

        result = self.sweep.compute()
        hits, false = (part[0].numpy() for part in self.pixels.counts())
        line: dict[str, Any] = {
            "sweep_global": bands(result, ("dice",), draws, goal="dice", aggregate="global"),
            "sweep_per_image": bands(result, ("dice",), draws, goal="dice", aggregate="per_image", empty="skip"),
            "reliability": from_sums(self.calibration.sums.numpy()),
        }
        line["reliability"] |= reliability_bands(np.stack(self.binned), draws)
        if hits.sum() and false.sum():
            used = (hits + false) > 0
            line["ranking"] = curves(hits[used], false[used], np.linspace(1, 0, len(hits))[used])
            del line["ranking"]["threshold"]  # these are bins, not thresholds
            ranked = np.stack(self.ranked)
            line["ranking"]["band"] = ranking_bands(ranked[:, 0], ranked[:, 1], draws)
            line["operating"] = self._operating()
        return line

    def optimism(self, draws: BootstrapSamples) -> dict[str, Any]:
        """Nested estimate of the best threshold's score; see `tandem.evaluate.sweeps.threshold_optimism`."""
        return threshold_optimism(self.sweep.compute(), self.grid, draws)

    def _operating(self) -> dict[str, float]:
        of = dict(zip(COUNTS, self.counts.sum(0).tolist(), strict=True))
        negatives = of["known"] - of["area_true"]
        return {
            "sensitivity": of["intersection"] / of["area_true"],
            "false_positive_rate": (of["area_predicted"] - of["intersection"]) / negatives,
            "precision": of["intersection"] / of["area_predicted"] if of["area_predicted"] else float("nan"),
        }


def overlap(counts: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """(M,) Dice and IoU of each image, nan without lesion.

    Args:
        counts: (M, len(COUNTS)) counts of the images.

    Raises:
        AssertionError: Dice is below IoU, which is impossible.
    """
    _, true, drawn, hits = counts[:, :4].T.astype(np.float64)
    dice = ratio(*dice_parts(hits, drawn, true), known=true)
    iou = ratio(hits, true + drawn - hits, known=true)
    assert not (dice < iou).any(), "Dice below IoU: the counts are wrong"
    return dice, iou


def scored_dice(counts: npt.NDArray[np.int64], empty: str) -> Array:
    """(M,) Dice of each image. Without lesion: nan for `skip`; for `score` 1 if nothing is predicted, else 0.

    Args:
        counts: (M, len(COUNTS)) counts of the images.
        empty: `skip` or `score`.
    """
    dice, _ = overlap(counts)
    without = (counts[:, 1] == 0) & (counts[:, 0] > 0)
    return np.where(without, (counts[:, 2] == 0).astype(np.float64), dice) if empty == "score" else dice


def _where(present: Array, values: Array) -> Array:
    """(R,) values; nan where no lesion is present: there is nothing to find, and 0 would look like a failure."""
    return np.where(present > 0, values, np.nan)


class MaskMeasure:
    """Every metric of predicted masks as a function of the weight of each image.

    Args:
        counts: (M, len(COUNTS)) counts of the images.
        aggregate: aggregation of the official Dice, `global` or `per_image`.
        empty: handling of images without lesion in `per_image`: `skip` or `score`.
    """

    def __init__(self, counts: npt.NDArray[np.int64], aggregate: str, empty: str) -> None:
        self.counts = counts.astype(np.float64)
        self.aggregate = aggregate
        self.empty = empty
        self.known, self.true, self.drawn, self.hits, self.drawn_half, self.hits_half = self.counts[:, :6].T
        self.without = (self.true == 0) & (self.known > 0)

    def __call__(self, weights: Array) -> dict[str, Array]:
        """(R,) values by logged name, for (R, M) weights."""
        whole, half = (self._dice(weights, *masks) for masks in self._masks())
        tp, true, drawn = weights @ self.hits, weights @ self.true, weights @ self.drawn
        lesions, pieces, matched = (weights @ self.counts[:, 6:]).T
        error = ratio(self.drawn - self.true, self.true)
        official = "dice_global" if self.aggregate == "global" else "dice_official"
        found = {
            "dice": whole[official],
            "iou": whole[official.replace("dice", "iou")],
            "dice_global": whole["dice_global"],
            "dice_lesion": whole["dice_lesion"],
            "iou_lesion": whole["iou_lesion"],
            "precision": _where(true, ratio(tp, drawn)),
            "recall": ratio(tp, true),
            "specificity_empty": mean_of(weights, np.where(self.without, (self.drawn == 0).astype(float), np.nan)),
            "dice_at_0.5": half[official],
            "dice_lesion_at_0.5": half["dice_lesion"],
            "area_error": mean_of(weights, np.abs(error)),
            "area_bias": mean_of(weights, error),
            "lesion_f1": _where(lesions, ratio(*dice_parts(matched, pieces, lesions))),
            "lesion_recall": ratio(matched, lesions),
            "lesion_precision": _where(lesions, ratio(matched, pieces)),
        }
        for dice, iou in (("dice", "iou"), ("dice_lesion", "iou_lesion")):
            assert not (found[dice] < found[iou] - 1e-12).any(), f"{dice} below {iou}: the counts are wrong"
        return found

    def _masks(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        return (self.hits, self.drawn), (self.hits_half, self.drawn_half)

    def _dice(self, weights: Array, hits: Array, drawn: Array) -> dict[str, Array]:
        """Dice and IoU: global, per image with a lesion, and per image under the run's policy for empty masks."""
        found: dict[str, Array] = {}
        nothing = np.where(self.without, (drawn == 0).astype(np.float64), np.nan)
        parts = {"dice": dice_parts(hits, drawn, self.true), "iou": (hits, self.true + drawn - hits)}
        for name, (part, both) in parts.items():
            per_image = ratio(part, both, known=self.true)
            scored = np.where(self.without, nothing, per_image) if self.empty == "score" else per_image
            found[f"{name}_global"] = ratio(weights @ part, weights @ both, known=weights @ self.true)
            found[f"{name}_lesion"] = mean_of(weights, per_image)
            found[f"{name}_official"] = mean_of(weights, scored)
        return found
