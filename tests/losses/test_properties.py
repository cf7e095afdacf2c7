"""What holds for every loss of a kind whatever the numbers are: hypothesis draws shapes, logits, targets and gaps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tandem.losses.binary import (
    BCE,
    Asymmetric,
    BalancedBCE,
    BCEFocal,
    Brier,
    Dice,
    Focal,
    FocalTversky,
    Hinge,
    Jaccard,
    Lovasz,
    Tversky,
    UnifiedFocal,
)
from tandem.losses.multiclass import CrossEntropy, Poly
from tandem.losses.multiclass import Dice as ClassDice
from tandem.losses.multiclass import Focal as ClassFocal
from tandem.losses.multiclass import Hinge as ClassHinge
from tandem.losses.multiclass import Lovasz as ClassLovasz
from tandem.losses.multiclass import Tversky as ClassTversky

OVERLAP: list[nn.Module] = [
    loss
    for per in ("image", "batch")
    for loss in (Dice(per), Jaccard(per), Tversky(per=per), FocalTversky(per=per), Lovasz(per), UnifiedFocal(per=per))
]
PIXELS: list[nn.Module] = [BCE(), BalancedBCE(0.7), Focal(0.5, 0.3), BCEFocal(), Asymmetric(), Brier(), Hinge()]
CLASSES: list[nn.Module] = [
    *(CrossEntropy(), CrossEntropy([1, 2, 0.5], 0.1), ClassFocal(0.5), Poly(), ClassHinge()),
    *(loss(per) for loss in (ClassDice, ClassLovasz) for per in ("image", "batch")),
    *(ClassTversky(per=per) for per in ("image", "batch")),
]


def each(*losses: nn.Module) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("loss", losses, ids=lambda loss: f"{type(loss).__name__}-{getattr(loss, 'per', '')}")


@st.composite
def yes_no(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits and a target of 0, 1 and 255, (N, C) to (N, C, D, H, W); cells may be empty, full or wholly missing."""
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = draw(st.sampled_from([0.1, 3.0, 30.0])) * torch.randn(shape, generator=rng, dtype=torch.float64)
    target = (torch.rand(shape, generator=rng) < draw(st.sampled_from([0.0, 0.3, 1.0]))).long()
    target[torch.rand(shape, generator=rng) < draw(st.sampled_from([0.0, 0.3]))] = 255
    return logits, target


@st.composite
def one_of_three(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Logits of three classes and a target of 0, 1, 2 and -100, (N,) to (N, D, H, W)."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = 3 * torch.randn((shape[0], 3, *shape[1:]), generator=rng, dtype=torch.float64)
    target = torch.randint(0, draw(st.integers(1, 3)), shape, generator=rng)
    target[torch.rand(shape, generator=rng) < draw(st.sampled_from([0.0, 0.3]))] = -100
    return logits, target


def total(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    value = loss(logits, target)
    if isinstance(value, dict):
        weights: dict[str, float] = loss.weights  # type: ignore[assignment]
        value = sum(weights[name] * term for name, term in value.items())
    assert isinstance(value, Tensor)
    return value


def gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    free = logits.clone().requires_grad_()
    return torch.autograd.grad(total(loss, free, target), free)[0]


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


@each(*PIXELS, *OVERLAP)
@settings(max_examples=12, deadline=None)
@given(case=yes_no())
def test_a_yes_pulls_up_and_a_no_pushes_down(loss: nn.Module, case: tuple[Tensor, Tensor]) -> None:
    logits, target = case
    assert total(loss, logits, target) >= 0
    pulled = gradient(loss, logits, target)
    assert pulled.isfinite().all()
    assert (pulled[target == 1] <= 0).all()
    assert (pulled[target == 0] >= 0).all()
    assert (pulled[target == 255] == 0).all()


@each(*(loss for loss in OVERLAP if not isinstance(loss, Lovasz | UnifiedFocal)))
@settings(max_examples=12, deadline=None)
@given(case=yes_no())
def test_overlap_costs_1_at_most(loss: nn.Module, case: tuple[Tensor, Tensor]) -> None:
    assert total(loss, *case) <= 1 + 1e-9


@each(BCE(), Focal(2.0), BCEFocal(), Brier(), Hinge())
@settings(max_examples=12, deadline=None)
@given(case=yes_no())
def test_yes_and_no_can_be_exchanged(loss: nn.Module, case: tuple[Tensor, Tensor]) -> None:
    logits, target = case
    other = torch.where(target == 255, target, 1 - target)
    close(total(loss, -logits, other), total(loss, logits, target))


@settings(max_examples=30, deadline=None)
@given(case=yes_no())
def test_jaccard_orders_cells_as_dice_does(case: tuple[Tensor, Tensor]) -> None:
    logits, target = (x[:1, :1] for x in case)
    target = torch.where(target.flatten()[0] == 255, 255, target).clone()
    target.view(-1)[0] = 1  # there is foreground
    dice = Dice()(logits, target)
    close(Jaccard()(logits, target), 2 * dice / (1 + dice))


@each(*CLASSES)
@settings(max_examples=12, deadline=None)
@given(case=one_of_three(), shift=st.floats(-50, 50))
def test_only_differences_of_logits_matter(loss: nn.Module, case: tuple[Tensor, Tensor], shift: float) -> None:
    logits, target = case
    close(total(loss, logits + shift, target), total(loss, logits, target))
    close(gradient(loss, logits, target).sum(1), torch.zeros(target.shape))


@each(*(loss for loss in CLASSES if getattr(loss, "label_smoothing", 0) == 0))
@settings(max_examples=12, deadline=None)
@given(case=one_of_three())
def test_the_answer_is_pulled_up(loss: nn.Module, case: tuple[Tensor, Tensor]) -> None:
    logits, target = case
    assert total(loss, logits, target) >= 0
    pulled = gradient(loss, logits, target)
    if isinstance(loss, ClassDice | ClassTversky | ClassLovasz):
        return  # a pixel that costs its class little may make room for another one
    known = target != -100
    assert (pulled.gather(1, target.clamp_min(0).unsqueeze(1)).squeeze(1)[known] <= 0).all()
    assert (pulled.movedim(1, -1)[~known] == 0).all()


@settings(max_examples=20, deadline=None)
@given(case=one_of_three(), order=st.permutations(range(3)))
def test_names_of_classes_do_not_matter(case: tuple[Tensor, Tensor], order: list[int]) -> None:
    logits, target = case
    renamed = torch.where(target >= 0, torch.tensor(order).argsort()[target.clamp_min(0)], target)
    for loss in (CrossEntropy(), ClassFocal(2.0), Poly(), ClassHinge(), ClassDice(), ClassTversky(), ClassLovasz()):
        close(loss(logits[:, order], renamed), loss(logits, target))


@settings(max_examples=20, deadline=None)
@given(case=one_of_three())
def test_cross_entropy_is_torchs(case: tuple[Tensor, Tensor]) -> None:
    logits, target = case
    known = bool((target >= 0).any())
    close(CrossEntropy()(logits, target), F.cross_entropy(logits, target) if known else 0.0)
