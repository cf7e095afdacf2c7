"""Targets in [0, 1], as label smoothing, mixup, several readers and distillation give them: where a loss has an
equation for them, against a float64 loop; elsewhere a refusal with a reason."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tandem.errors import DataError
from tandem.losses import (
    BCE,
    Asymmetric,
    BalancedBCE,
    BCEFocal,
    Boundary,
    Brier,
    Composite,
    CrossEntropy,
    Dice,
    Focal,
    FocalTversky,
    Hinge,
    Jaccard,
    Lovasz,
    Tversky,
    UnifiedFocal,
)

Element = Callable[[float, float], float]
Cell = Callable[[list[tuple[float, float]]], float]


def sums(pixels: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Shared, falsely positive and falsely negative mass of (p, y), each a plain loop."""
    shared = sum(min(p, y) for p, y in pixels)
    return shared, sum(max(p - y, 0.0) for p, y in pixels), sum(max(y - p, 0.0) for p, y in pixels)


def tversky(alpha: float, beta: float) -> Cell:
    def cell(pixels: list[tuple[float, float]]) -> float:
        shared, false, missed = sums(pixels)
        return 1 - shared / (shared + alpha * false + beta * missed)

    return cell


def cross_entropy(p: float, y: float) -> float:
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def focal(gamma: float, alpha: float | None) -> Element:
    def element(p: float, y: float) -> float:
        weight = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
        return float(weight * abs(y - p) ** gamma * cross_entropy(p, y))

    return element


ELEMENTS: list[tuple[nn.Module, Element]] = [
    (BCE(), cross_entropy),
    (Brier(), lambda p, y: (p - y) ** 2),
    (Focal(gamma=2.0), focal(2.0, None)),
    (Focal(gamma=0.5, alpha=0.25), focal(0.5, 0.25)),
    (Focal(gamma=0.0), cross_entropy),
]
CELLS: list[tuple[nn.Module, Cell]] = [
    (Dice(), tversky(0.5, 0.5)),
    (Jaccard(), tversky(1.0, 1.0)),
    (Tversky(alpha=0.2, beta=0.8), tversky(0.2, 0.8)),
    (FocalTversky(gamma=2.0), lambda pixels: tversky(0.3, 0.7)(pixels) ** 0.5),
]
SOFT = [loss for loss, _ in (*ELEMENTS, *CELLS)]
HARD = [
    Hinge(), BalancedBCE(), Asymmetric(), Lovasz(), UnifiedFocal(),
    Composite({"bce": BCE(), "lovasz": Lovasz()}, {"bce": 1.0, "lovasz": 1.0}),
]  # fmt: skip


def name(loss: nn.Module) -> str:
    return type(loss).__name__


def case(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, torch.rand(shape, generator=generator, dtype=torch.float64)


def pairs(logits: Tensor, target: Tensor) -> list[tuple[float, float]]:
    known = target.flatten() != 255
    p = torch.sigmoid(logits.double()).flatten()[known].tolist()
    return list(zip(p, target.double().flatten()[known].tolist(), strict=True))


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(("loss", "element"), ELEMENTS, ids=map(str, range(len(ELEMENTS))))
def test_means_over_elements_are_those_of_a_loop(loss: nn.Module, element: Element, missing: bool) -> None:
    logits, target = case(2, 2, 3, 4)
    if missing:
        target[0, :, 1] = 255
        logits[0, :, 1] = math.nan
    found = [element(p, y) for p, y in pairs(logits, target)]
    assert loss(logits, target).item() == pytest.approx(math.fsum(found) / len(found), rel=1e-12)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(("loss", "cell"), CELLS, ids=[name(loss) for loss, _ in CELLS])
def test_means_over_cells_are_those_of_a_loop(loss: nn.Module, cell: Cell, missing: bool) -> None:
    logits, target = case(2, 2, 3, 4)
    target[0, 0] /= 100  # less than one pixel of foreground
    if missing:
        target[0, :, 1] = 255
    found = [cell(pairs(logits[n, c], target[n, c])) for n in range(2) for c in range(2)]
    assert loss(logits, target).item() == pytest.approx(sum(found) / 4, rel=1e-12)


@pytest.mark.parametrize("loss", SOFT, ids=name)
def test_gradients_are_those_of_the_equation(loss: nn.Module) -> None:
    logits, target = case(2, 1, 3, 3)
    assert torch.autograd.gradcheck(lambda z: loss(z, target), logits.requires_grad_())


@pytest.mark.parametrize("loss", SOFT, ids=name)
def test_whole_numbers_as_floats_cost_what_they_cost_as_integers(loss: nn.Module) -> None:
    logits, target = case(2, 2, 5, 6)
    hard = (target > 0.6).long()
    one, other = (logits.clone().requires_grad_() for _ in range(2))
    values = loss(one, hard), loss(other, hard.double())
    assert torch.equal(*values)
    for value in values:
        value.backward()
    assert one.grad is not None
    assert other.grad is not None
    assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("loss", SOFT, ids=name)
def test_one_soft_pixel_changes_nothing_but_itself(loss: nn.Module) -> None:
    """The equation for soft targets goes over into that for 0 and 1."""
    logits, target = case(2, 2, 5, 6)
    hard = (target > 0.6).double()
    soft = hard.clone()
    soft[0, 0, 0, 0] = abs(hard[0, 0, 0, 0].item() - 1e-9)
    assert loss(logits, soft).item() == pytest.approx(loss(logits, hard).item(), abs=1e-7)


@pytest.mark.parametrize("loss", [*(loss for loss, _ in CELLS), Brier(), Focal(gamma=2.0), Focal(gamma=0.5)], ids=name)
def test_the_answer_that_is_the_target_costs_nothing_and_others_do(loss: nn.Module) -> None:
    _, target = case(2, 1, 4, 4)
    right = torch.logit(target)
    assert loss(right, target).item() == pytest.approx(0, abs=1e-7)
    sure = torch.where(target > 0.5, 20.0, -20.0).double()
    assert loss(sure, target).item() > 0.01, "where Dice takes p y, this answer is the better one"


def test_bce_is_torchs_and_lowest_at_the_target() -> None:
    logits, target = case(3, 2)
    torch.testing.assert_close(BCE()(logits, target), F.binary_cross_entropy_with_logits(logits, target))
    best = torch.logit(target).requires_grad_()
    BCE()(best, target).backward()
    assert best.grad is not None
    assert best.grad.abs().max() < 1e-12


def test_terms_of_a_composite_see_the_same_soft_target() -> None:
    logits, target = case(2, 1, 4, 4)
    loss = Composite({"bce": BCE(), "dice": Dice(), "focal": Focal()}, {"bce": 1.0, "dice": 1.0, "focal": 1.0})
    terms = loss(logits, target)
    assert {key: value.item() for key, value in terms.items()} == {
        "bce": BCE()(logits, target).item(),
        "dice": Dice()(logits, target).item(),
        "focal": Focal()(logits, target).item(),
    }
    assert BCEFocal()(logits, target)["focal"].isfinite()
    hard = (target > 0.5).long()
    assert loss(logits, hard)["dice"] == Dice()(logits, hard), "nothing is left of the soft target"


@pytest.mark.parametrize("loss", HARD, ids=name)
def test_other_losses_refuse_with_a_reason(loss: nn.Module) -> None:
    logits, target = case(2, 1, 3, 3)
    with pytest.raises(
        DataError, match=r"binary loss: the target holds .* \(.* takes no soft targets: .*\)$"
    ) as caught:
        loss(logits, target)
    assert "\n" not in str(caught.value)


@pytest.mark.full
def test_shapes_and_classes_refuse_too() -> None:
    logits, target = case(2, 3, 4, 4)
    pytest.importorskip("monai")
    with pytest.raises(DataError, match="Boundary takes no soft targets: it measures borders"):
        Boundary()(logits, target)
    with pytest.raises(DataError, match="give integer class indices"):
        CrossEntropy()(logits, target[:, 0])


@pytest.mark.parametrize("value", [-0.1, 1.1, 2.5, math.nan, math.inf, 254.5])
def test_what_is_no_share_is_refused(value: float) -> None:
    logits, target = case(2, 1, 3, 3)
    target[0, 0, 0, 0] = value
    with pytest.raises(DataError, match=f"the target holds {value:g}; map its values to the allowed ones, 0 to 1 and"):
        Dice()(logits, target)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_targets_of_lower_precision_are_taken_as_they_are(dtype: torch.dtype) -> None:
    logits, target = case(2, 1, 4, 4)
    low = target.to(dtype)
    assert BCE()(logits, low).item() == pytest.approx(BCE()(logits, low.double()).item(), rel=1e-12)
