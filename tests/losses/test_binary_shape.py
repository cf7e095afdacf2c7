"""Losses on shape: MONAI and scipy as oracles, what MONAI alone would get wrong, and life without MONAI."""

import sys

import pytest
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError, DataError
from tandem.losses import Composite
from tandem.losses.binary import BCE, Boundary, CenterlineDice, Dice, Hausdorff

monai = pytest.importorskip("monai.losses")
distance_transform_edt = pytest.importorskip("scipy.ndimage").distance_transform_edt

SHAPES = pytest.mark.parametrize("shape", [(3, 1, 12, 9), (2, 3, 8, 8), (2, 2, 6, 5, 4)], ids=str)


def case(*shape: int) -> tuple[Tensor, Tensor]:
    """Boxes of different sizes, and noise."""
    logits = 2 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.zeros(shape, dtype=torch.float64)
    for row in range(shape[0]):
        target[row, :, 1 : 3 + row, 1:4] = 1
    return logits, target


def gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    return logits.grad


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


@SHAPES
def test_boundary_equals_monai_and_scipy(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    close(Boundary()(logits, target), monai.BoundaryLoss(sigmoid=True)(logits, target))
    costs = []
    for z, y in zip(logits.flatten(0, 1), target.flatten(0, 1), strict=True):
        inside = torch.as_tensor(distance_transform_edt(y)) - 1
        distance = torch.where(y > 0, -inside, torch.as_tensor(distance_transform_edt(1 - y)))
        costs.append((z.sigmoid() * distance).mean())
    close(Boundary()(logits, target), torch.stack(costs).mean())


@pytest.mark.parametrize("alpha", [1.0, 2.0])
@SHAPES
def test_hausdorff_equals_scipy(shape: tuple[int, ...], alpha: float) -> None:
    logits, target = case(*shape)
    costs = []
    for z, y in zip(logits.flatten(0, 1), target.flatten(0, 1), strict=True):
        p = z.sigmoid()
        found = (p > 0.5).double()
        fields = [torch.as_tensor(distance_transform_edt(m) + distance_transform_edt(1 - m)) for m in (found, y)]
        costs.append(((p - y) ** 2 * (fields[0] ** alpha + fields[1] ** alpha)).mean())
    close(Hausdorff(alpha)(logits, target), torch.stack(costs).mean())
    oracle = monai.HausdorffDTLoss(alpha=alpha, include_background=True, sigmoid=True)
    close(Hausdorff(alpha)(logits, target), oracle(logits, target))


def test_cldice_equals_monai() -> None:
    logits, target = case(3, 1, 12, 9)
    oracle = monai.SoftclDiceLoss(iter_=2, smooth_nr=0.5, smooth_dr=0.5, smooth=1e-7, sigmoid=True)
    close(CenterlineDice(iterations=2, smooth=0.5)(logits, target), oracle(logits, target))


def test_cldice_counts_each_channel_by_itself() -> None:
    logits, target = case(2, 3, 8, 8)
    each = [CenterlineDice()(logits[:, [channel]], target[:, [channel]]) for channel in range(3)]
    close(CenterlineDice()(logits, target), torch.stack(each).mean())  # MONAI alone would pool them


@pytest.mark.parametrize("loss", [Boundary(), Hausdorff(), CenterlineDice()], ids=lambda loss: type(loss).__name__)
def test_an_empty_target_costs_what_it_costs_dice(loss: nn.Module) -> None:
    logits, target = case(2, 1, 8, 8)
    target[1] = 0
    close(loss(logits[1:], target[1:]), Dice()(logits[1:], target[1:]))
    close(loss(logits, target), (loss(logits[:1], target[:1]) + loss(logits[1:], target[1:])) / 2)


def test_trap_boundary_of_an_empty_target_has_no_gradient_in_monai() -> None:
    logits, target = case(1, 1, 8, 8)[0], torch.zeros(1, 1, 8, 8)
    assert (gradient(monai.BoundaryLoss(sigmoid=True), logits, target) == 0).all()
    assert (gradient(Boundary(), logits, target) > 0).all()


@pytest.mark.parametrize("loss", [Boundary(), Hausdorff(), CenterlineDice()], ids=lambda loss: type(loss).__name__)
def test_a_whole_missing_mask_is_left_out_and_a_part_is_refused(loss: nn.Module) -> None:
    logits, target = case(3, 1, 12, 9)
    target[2] = 255
    close(loss(logits, target), loss(logits[:2], target[:2]))
    target[1, 0, 0, 0] = 255
    name = type(loss).__name__
    with pytest.raises(DataError, match=rf"{name} loss: 1 of 3 masks have missing pixels \(255\)") as refusal:
        loss(logits, target)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("loss", [Boundary(), Hausdorff(), CenterlineDice()], ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("shape", [(6, 1), (6, 1, 5)], ids=str)
def test_only_maps_have_a_shape(loss: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"this loss measures shapes; give \(N, C, H, W\)"):
        loss(torch.zeros(shape), torch.zeros(shape))


def test_a_composite_needs_maps_if_a_term_does() -> None:
    assert Composite({"dice": Dice(), "boundary": Boundary()}, {"dice": 1, "boundary": 0.01}).needs_maps
    assert not Composite({"dice": Dice(), "bce": BCE()}, {"dice": 1, "bce": 1}).needs_maps


@pytest.mark.parametrize("build", [Boundary, Hausdorff, CenterlineDice])
def test_without_monai_the_mend_is_named(build: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.losses", None)
    with pytest.raises(ConfigError, match=r"loss needs monai .*; pip install 'tandem-mtl\[shape\]'") as refusal:
        build()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("build", "knobs", "message"),
    [
        (Hausdorff, {"alpha": -1}, r"alpha = -1 is outside \[0, inf\]"),
        (CenterlineDice, {"iterations": 0}, "iterations = 0 is not a whole number of at least 1"),
        (CenterlineDice, {"iterations": 2.5}, "iterations = 2.5 is not a whole number"),
        (CenterlineDice, {"smooth": 0}, "smooth = 0 would divide by 0 where there is no skeleton"),
    ],
)
def test_bad_knobs_are_refused(build: type[nn.Module], knobs: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**knobs)
