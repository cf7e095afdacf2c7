"""Metrics of drawn masks: MONAI and scikit-image as oracles, stated answers where a mask is empty."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_dice import compute_surface_dice
from skimage.measure import label

from tandem.errors import ConfigError
from tandem.metrics import AreaError, HausdorffDistance95, LesionDetection, SurfaceDice
from tandem.metrics.lesions import match_pieces


def box(*corners: int, size: int = 16) -> torch.Tensor:
    """(1, 1, size, size): ones in rows top:bottom and columns left:right."""
    mask = torch.zeros(1, 1, size, size, dtype=torch.uint8)
    if corners:
        top, bottom, left, right = corners
        mask[..., top:bottom, left:right] = 1
    return mask


def value(metric: Any, predicted: torch.Tensor, target: torch.Tensor) -> float:
    metric.update(predicted.bool(), target)
    return float(metric.compute())


@pytest.mark.filterwarnings("ignore:monai:FutureWarning")  # MONAI's own
def test_distances_are_those_of_monai() -> None:
    drawn, truth = box(2, 9, 3, 11), box(3, 10, 3, 14)
    theirs = compute_hausdorff_distance(drawn.float(), truth.float(), include_background=True, percentile=95)
    assert value(HausdorffDistance95(), drawn, truth) == pytest.approx(float(theirs))
    share = compute_surface_dice(drawn.float(), truth.float(), class_thresholds=[1.0], include_background=True)
    assert value(SurfaceDice(tolerance=1.0), drawn, truth) == pytest.approx(float(share))


EMPTY = box()
LESION = box(2, 6, 2, 6)
DIAGONAL = math.hypot(15, 15)


@pytest.mark.parametrize(
    ("metric", "missed", "perfect", "wrong"),
    [
        (HausdorffDistance95, DIAGONAL, 0.0, DIAGONAL),
        (SurfaceDice, 0.0, 1.0, 0.0),
        (AreaError, 1.0, 0.0, 1.0),
    ],
)
def test_a_missed_lesion_never_looks_perfect_and_empty_masks_follow_the_policy(
    metric: Any, missed: float, perfect: float, wrong: float
) -> None:
    assert value(metric(), EMPTY, LESION) == pytest.approx(missed)
    assert value(metric(), LESION, LESION) == pytest.approx(perfect)
    assert math.isnan(value(metric(), LESION, EMPTY)), "skip: there is no lesion to be right about"
    assert value(metric(empty="score"), EMPTY, EMPTY) == pytest.approx(perfect)
    assert value(metric(empty="score"), LESION, EMPTY) == pytest.approx(wrong)
    assert math.isnan(value(metric(empty="score"), LESION, torch.full_like(LESION, 255))), "nothing is known"


@pytest.mark.parametrize(("signed", "expected"), [(False, 0.5), (True, 0.0)])
def test_the_area_error_is_a_mean_over_pictures(signed: bool, expected: float) -> None:
    drawn = torch.cat([box(0, 6, 0, 4), box(0, 2, 0, 4)])
    truth = torch.cat([box(0, 4, 0, 4), box(0, 4, 0, 4)])
    assert value(AreaError(signed=signed), drawn, truth) == pytest.approx(expected)


def test_missing_pixels_are_background_in_both() -> None:
    truth = box(0, 4, 0, 4)
    truth[..., 8:, :] = 255
    drawn = box(0, 4, 0, 4) | box(9, 12, 0, 4)
    assert value(AreaError(), drawn, truth) == 0
    assert value(LesionDetection("precision"), drawn, truth) == 1


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    mask = np.eye(5, dtype=bool)
    assert label(mask, connectivity=2).max() == 1
    assert match_pieces(mask, mask, 0.0) == (1, 1, 1)


@pytest.mark.parametrize(
    ("quantity", "expected"), [("f1", 2 * 2 / (2 * 2 + 1 + 1)), ("recall", 2 / 3), ("precision", 2 / 3)]
)
def test_lesions_are_counted_over_all_pictures(quantity: str, expected: float) -> None:
    # one found and one missed; one found; one drawn where there is none
    drawn = torch.cat([box(0, 3, 0, 3), box(5, 9, 5, 9), box(1, 2, 1, 2)])
    truth = torch.cat([box(0, 4, 0, 4) | box(8, 12, 8, 12), box(4, 8, 4, 8), box()])
    metric = LesionDetection(quantity)  # type: ignore[arg-type]
    for row in range(3):
        metric.update(drawn[row : row + 1].bool(), truth[row : row + 1])
    assert float(metric.compute()) == pytest.approx(expected)


def test_one_piece_over_two_lesions_finds_one() -> None:
    truth = (box(0, 4, 0, 4) | box(0, 4, 6, 10))[0, 0].numpy() == 1
    assert match_pieces(box(0, 4, 0, 10)[0, 0].numpy() == 1, truth, 0.0) == (1, 1, 2)


def test_as_many_as_possible_are_matched() -> None:
    # the long piece touches both lesions, the short one only the first: first come first served would match one
    drawn = (box(0, 1, 0, 10) | box(3, 4, 0, 4))[0, 0].numpy() == 1
    truth = (box(0, 4, 0, 1) | box(0, 1, 8, 10))[0, 0].numpy() == 1
    assert match_pieces(drawn, truth, 0.0) == (2, 2, 2)


@pytest.mark.parametrize(("overlap", "matches"), [(0.0, 1), (0.4, 1), (0.5, 0)])
def test_a_match_overlaps_enough(overlap: float, matches: int) -> None:
    drawn, truth = box(0, 4, 0, 2)[0, 0].numpy() == 1, box(0, 4, 0, 4)[0, 0].numpy() == 1
    assert match_pieces(drawn, truth, overlap) == (matches, 1, 1)


def test_channels_are_counted_apart() -> None:
    metric = AreaError()
    metric.for_channels(2)
    truth = torch.cat([LESION, LESION], dim=1)
    metric.update(torch.cat([LESION, EMPTY], dim=1).bool(), truth)
    assert metric.compute().tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: AreaError(empty="zero"),  # type: ignore[arg-type]
        lambda: SurfaceDice(tolerance=-1),
        lambda: LesionDetection("accuracy"),  # type: ignore[arg-type]
        lambda: LesionDetection(overlap=1.0),
    ],
)
def test_bad_options_are_refused(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()
