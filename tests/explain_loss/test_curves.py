"""Curves against equations worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tandem.config.instantiate import build
from tandem.explain_loss.curves import Curve, loss_curves, stands_alone
from tandem.explain_loss.probe import probe
from tandem.losses import BinaryLoss, Composite
from tandem.losses.binary import BCE, BCEFocal, Dice, Focal, Lovasz, Tversky
from tandem.losses.multiclass import CrossEntropy
from tandem.losses.regression import MAE, MSE, Huber


def focal_slope(right: Any, gamma: float) -> Any:
    """|dL/dz| of -(1 - p_t)^gamma log p_t, by the chain rule with dp_t/dz = +-p_t (1 - p_t)."""
    slope = gamma * (1 - right) ** (gamma - 1) * np.log(right) - (1 - right) ** gamma / right
    return np.abs(slope * right * (1 - right))


def check(curves: list[Curve], cost: Callable[[Any], Any], slope: Callable[[Any], Any]) -> None:
    """Compares both curves with functions of the probability of the right answer."""
    assert [curve.of for curve in curves] == ["lesion", "background"]
    for curve in curves:
        p = np.array(curve.x)
        right = p if curve.of == "lesion" else 1 - p
        np.testing.assert_allclose(curve.loss, cost(right), rtol=1e-12)
        np.testing.assert_allclose(curve.gradient, slope(right), rtol=1e-10)


def test_the_gradient_of_cross_entropy_is_p_minus_y() -> None:
    check(loss_curves(BCE()), lambda right: -np.log(right), lambda right: 1 - right)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.0])
def test_focal(gamma: float) -> None:
    check(
        loss_curves(Focal(gamma=gamma)),
        lambda right: -((1 - right) ** gamma) * np.log(right),
        lambda right: focal_slope(right, gamma),
    )


def test_a_sum_is_weighted() -> None:
    loss = BCEFocal(gamma=3, bce_weight=0.5, focal_weight=2.0)
    check(
        loss_curves(loss),
        lambda right: (0.5 + 2 * (1 - right) ** 3) * -np.log(right),
        lambda right: 0.5 * (1 - right) + 2 * focal_slope(right, 3),
    )


def test_two_classes_are_one_question() -> None:
    check(loss_curves(CrossEntropy()), lambda right: -np.log(right), lambda right: 1 - right)


def test_dice_is_that_of_the_7_x_7_image() -> None:
    """With I = 5 p (or 4.5), P = 5 p + 44 x 0.1 (or 4.5 + 44 p) and T = 5: L = 1 - 2 I / (P + T)."""
    lesion, background = loss_curves(Dice())
    assert not lesion.alone
    assert not background.alone
    p = np.array(lesion.x)
    top, below = 10 * p, 5 * p + 4.4 + 5
    np.testing.assert_allclose(lesion.loss, 1 - top / below, rtol=1e-12)
    slope = p * (1 - p) * np.abs(2 * below - top) / below**2  # of one pixel: dI = dP = dp
    np.testing.assert_allclose(lesion.gradient, 49 * slope, rtol=1e-10)
    below = 4.5 + 44 * p + 5
    np.testing.assert_allclose(background.loss, 1 - 9 / below, rtol=1e-12)
    np.testing.assert_allclose(background.gradient, 49 * p * (1 - p) * 9 / below**2, rtol=1e-10)


def test_numbers_have_a_curve_against_the_error() -> None:
    for loss, cost, slope in (
        (MSE(), lambda e: e**2, lambda e: 2 * abs(e)),
        (MAE(), abs, lambda e: float(e != 0)),
        (Huber(1.0), lambda e: e * e / 2 if abs(e) <= 1 else abs(e) - 0.5, lambda e: min(abs(e), 1)),
    ):
        (curve,) = loss_curves(loss)
        assert (curve.of, curve.x[0], curve.x[-1]) == ("error", -3.0, 3.0)
        assert curve.loss == pytest.approx([cost(error) for error in curve.x], rel=1e-6)
        assert curve.gradient == pytest.approx([slope(error) for error in curve.x], rel=1e-6)


class OwnMean(BinaryLoss):
    """A user's loss of single pixels that is not written as `element`."""

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
        return ((torch.sigmoid(logits) - target) ** 2).mean()


@pytest.mark.parametrize(
    ("loss", "alone"),
    [
        (BCE(), True),
        (BCEFocal(), True),
        (OwnMean(), True),
        (CrossEntropy(), True),
        (CrossEntropy(weight=[1.0, 3.0]), False),
        (Dice(), False),
        (Dice(per="batch"), False),
        (Tversky(), False),
        (Lovasz(), False),
        (Composite({"a": BCE(), "b": Dice()}, {"a": 1.0, "b": 0.01}), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_losses_of_single_pixels_are_detected(loss: nn.Module, alone: bool) -> None:
    assert stands_alone(loss) == alone
    assert {curve.alone for curve in loss_curves(loss)} == {alone}


@pytest.mark.parametrize("name", ["Boundary", "Hausdorff", "CenterlineDice"])
def test_losses_of_whole_maps_have_curves(name: str) -> None:
    pytest.importorskip("monai", reason="the extra tandem-mtl[shape] is not installed")
    for curve in loss_curves(build({"_target_": f"tandem.losses.binary.{name}"}, "loss")):
        assert not curve.alone
        assert all(math.isfinite(value) for value in (*curve.loss, *curve.gradient))


def test_missing_pixels_have_no_gradient() -> None:
    _, gradient = probe(BCE(), torch.zeros(1, 1, 1, 2), torch.tensor([[[[1, 255]]]]))
    assert gradient.flatten().tolist() == [-0.5, 0.0]
