"""The worked example with 44 to 5 pixels: gradient shares, computed by hand."""

import math

import pytest

from tandem.explain_loss.shares import of_region
from tandem.explain_loss.worked import worked_counts, worked_mask, worked_moments
from tandem.losses.binary import Dice

BCE, FOCAL, BALANCED = "bce", "focal gamma=2 alpha=0.25", "balanced_bce beta=44/49"


def lesion_share(lesion_pull: float, background_pull: float) -> float:
    """Of 5 lesion pixels and 44 background pixels, given the gradient of one of each."""
    return 5 * lesion_pull / (5 * lesion_pull + 44 * background_pull)


def focal_pull(right: float) -> float:
    """(1 - p_t)^2 (1 - p_t - 2 p_t log p_t): the absolute derivative of -(1 - p_t)^2 log p_t by the logit."""
    return (1 - right) ** 2 * (1 - right - 2 * right * math.log(right))


def by_hand(lesion: float, background: float) -> dict[str, float]:
    """The lesion's share under each loss, given the probability of lesion on lesion and on background pixels."""
    return {
        BCE: lesion_share(1 - lesion, background),
        FOCAL: lesion_share(0.25 * focal_pull(lesion), 0.75 * focal_pull(1 - background)),
        BALANCED: lesion_share(44 / 49 * (1 - lesion), 5 / 49 * background),
    }


def test_the_image_has_44_pixels_of_background_and_5_of_a_lesion() -> None:
    assert worked_counts() == (44, 5)
    assert tuple(worked_mask().shape) == (1, 1, 7, 7)


def test_background_dominates_under_cross_entropy_but_not_under_focal_or_balanced() -> None:
    first, later = worked_moments({})
    for moment, expected in ((first, by_hand(0.5, 0.5)), (later, by_hand(0.3, 0.1))):
        for label, share in expected.items():
            found = moment.gradients[label]
            assert of_region(found, "lesion") == pytest.approx(share, rel=1e-9)
            assert of_region(found, "background") == pytest.approx(1 - share, rel=1e-9)
        assert of_region(moment.gradients[BCE], "background") > of_region(moment.gradients[BCE], "lesion")
    assert of_region(first.gradients[BCE], "background") == pytest.approx(44 / 49)
    assert of_region(first.gradients[BALANCED], "background") == pytest.approx(0.5)
    # 5 x 0.7 against 44 x 0.1, in figures that can be checked on paper
    assert of_region(later.gradients[BCE], "background") == pytest.approx(4.4 / 7.9)
    for label in (FOCAL, BALANCED):
        assert of_region(later.gradients[label], "lesion") > 0.85


def test_other_losses_follow_those_of_the_example() -> None:
    first, _ = worked_moments({"dice": Dice()})
    assert list(first.gradients) == [BCE, FOCAL, BALANCED, "dice"]
    assert of_region(first.pixels, "background") == pytest.approx(44 / 49)
