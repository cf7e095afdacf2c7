"""Shares of pixels and gradients: each pixel counted once, in the right place."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from tandem.explain_loss.predictions import half_trained, prior_logit
from tandem.explain_loss.regions import REGIONS, regions
from tandem.explain_loss.shares import gradient_shares, of_region, pixel_gradients, shares
from tandem.losses.binary import BCE, BalancedBCE, Dice, Focal, Hinge
from tandem.losses.multiclass import CrossEntropy

MASKS = arrays(np.uint8, (2, 1, 7, 9), elements=st.sampled_from([0, 0, 1, 255]))


@given(MASKS, st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_each_known_pixel_is_in_one_region(values: np.ndarray, border: int) -> None:
    masks = torch.from_numpy(values)
    found = regions(masks, border)
    assert tuple(found) == REGIONS
    counted = torch.stack(list(found.values())).sum(0)
    assert torch.equal(counted, (masks != 255).long())
    square = np.ones((2 * border + 1, 2 * border + 1))
    for mask, at_border in zip(values[:, 0], found["border"][:, 0].numpy(), strict=True):
        near_lesion = ndimage.binary_dilation(mask == 1, square)
        near_background = ndimage.binary_dilation(mask == 0, square)
        np.testing.assert_array_equal(at_border, near_lesion & near_background & (mask != 255))


@given(MASKS, st.integers(0, 1000), st.floats(0.05, 1))
@settings(max_examples=40, deadline=None)
def test_shares_sum_to_one(values: np.ndarray, seed: int, hard: float) -> None:
    masks = torch.from_numpy(values)
    if not bool((masks == 1).any()):
        return
    logits = 3 * torch.randn(masks.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    losses = {"bce": BCE(), "dice": Dice(), "ce": CrossEntropy()}
    moment = gradient_shares("now", "", losses, logits, masks, regions(masks, 1), hard, batch_size=1)
    for found in (moment.pixels, *moment.gradients.values()):
        assert sum(found.values()) == pytest.approx(1)
        assert min(found.values()) >= 0
    assert moment.gradients["ce"] == pytest.approx(moment.gradients["bce"]), "two classes are one question"


def masks_of(*rows: str) -> torch.Tensor:
    """(1, 1, H, W) from rows of characters: # lesion, . background, ? missing."""
    meaning = {"#": 1, ".": 0, "?": 255}
    return torch.tensor([[[[meaning[character] for character in row] for row in rows]]], dtype=torch.uint8)


def test_easy_and_hard_by_the_cut() -> None:
    masks = masks_of("##..?")
    logits = torch.logit(torch.tensor([[[[0.9, 0.2, 0.3, 0.5, 0.99]]]], dtype=torch.float64))
    wrong = (torch.sigmoid(logits) - (masks == 1).double()).abs()
    found = shares(wrong, logits, masks, regions(masks, 0), 0.5)
    whole = 0.1 + 0.8 + 0.3 + 0.5
    expected = {("lesion", "easy"): 0.1, ("lesion", "hard"): 0.8, ("background", "easy"): 0.3}
    for key, part in {**expected, ("background", "hard"): 0.5, ("border", "easy"): 0, ("border", "hard"): 0}.items():
        assert found[key] == pytest.approx(part / whole)
    strict = shares(wrong, logits, masks, regions(masks, 0), 0.85)
    assert of_region(strict, "lesion") == pytest.approx(0.9 / whole)
    assert strict["lesion", "hard"] == 0


def test_a_zero_gradient_has_no_shares() -> None:
    masks = masks_of("#...")
    logits = 50.0 * (2 * (masks == 1).double() - 1)
    moment = gradient_shares("done", "", {"hinge": Hinge()}, logits, masks, regions(masks, 0), 0.5, 4)
    assert all(math.isnan(share) for share in moment.gradients["hinge"].values())
    assert sum(moment.pixels.values()) == pytest.approx(1)


def test_each_image_has_the_same_weight_for_any_batch_size() -> None:
    generator = torch.Generator().manual_seed(1)
    masks = torch.randint(0, 2, (5, 1, 4, 4), generator=generator, dtype=torch.uint8)
    logits = torch.randn(masks.shape, generator=generator, dtype=torch.float64)
    one_by_one = pixel_gradients(BCE(), logits, masks, 1)
    expected = (torch.sigmoid(logits) - masks.double()).abs() / 16
    torch.testing.assert_close(one_by_one, expected)
    for size in (2, 3, 5, 100):
        torch.testing.assert_close(pixel_gradients(BCE(), logits, masks, size), expected)
        torch.testing.assert_close(
            pixel_gradients(Dice(), logits, masks, size), pixel_gradients(Dice(), logits, masks, 1)
        )


def test_at_the_prior_lesion_and_background_have_equal_gradients_under_cross_entropy() -> None:
    """Sum of |p - y| over the n pi lesion pixels: n pi (1 - pi), and the same over the background."""
    masks = masks_of("##......", "........", "???.....")
    prior = prior_logit(masks)
    assert 1 / (1 + math.exp(-prior)) == pytest.approx(2 / 21)
    logits = torch.full(masks.shape, prior, dtype=torch.float64)
    losses = {"bce": BCE(), "focal": Focal(gamma=2), "balanced": BalancedBCE(beta=19 / 21)}
    moment = gradient_shares("prior", "", losses, logits, masks, regions(masks, 0), 0.5, 1)
    assert of_region(moment.gradients["bce"], "lesion") == pytest.approx(0.5)
    for label in ("focal", "balanced"):
        assert of_region(moment.gradients[label], "lesion") > 0.85


def test_the_half_trained_prediction_is_the_stated_one() -> None:
    masks = torch.zeros(3, 1, 40, 40, dtype=torch.uint8)
    masks[:2, :, 10:30, 10:30] = 1
    masks[1, :, :5, :5] = 255
    plain = half_trained(masks, blur=2.0, signal=3.0, noise=0.0, seed=0)
    assert plain[0, 0, 20, 20].item() == pytest.approx(3, abs=1e-3)
    assert plain[0, 0, 0, 0].item() == pytest.approx(-3, abs=1e-3)
    assert plain[0, 0, 20, 9:11].mean().item() == pytest.approx(0, abs=1e-3), "0 at the contour"
    assert torch.equal(plain[2], torch.full((1, 40, 40), -3.0, dtype=torch.float64))
    noisy = half_trained(masks, blur=2.0, signal=3.0, noise=1.5, seed=0)
    assert (noisy - plain).std().item() == pytest.approx(1.5, rel=0.05)
    assert torch.equal(noisy, half_trained(masks, 2.0, 3.0, 1.5, 0))
    assert not torch.equal(noisy, half_trained(masks, 2.0, 3.0, 1.5, 1))
