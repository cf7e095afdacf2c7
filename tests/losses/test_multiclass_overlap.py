"""Multiclass overlap, hinge and poly: independent oracles, limits, and traps by name."""

import math

import kornia.losses
import pytest
import segmentation_models_pytorch as smp
import torch
from sklearn.metrics import hinge_loss
from timm.loss import PolyCrossEntropy
from torch import Tensor, nn
from torch.nn import functional as F

from tandem.errors import ConfigError
from tandem.losses import binary
from tandem.losses.multiclass import CrossEntropy, Dice, Hinge, Lovasz, Poly, Tversky

monai = pytest.importorskip("monai.losses")

SHAPES = [(7,), (3, 4, 5), (2, 3, 2, 2)]
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)


def case(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((shape[0], 3, *shape[1:]), generator=rng, dtype=torch.float64)
    target = torch.randint(0, 3, shape, generator=rng)
    every = torch.arange(3)  # no class is absent
    (target if len(shape) == 1 else target.flatten(1).T)[:3] = every.view(-1, *[1] * (len(shape) > 1))
    return logits, target


def gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    return logits.grad


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


def heap(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """All pixels of the batch as one image."""
    return logits.movedim(1, 0).reshape(1, 3, -1, 1), target.reshape(1, -1, 1)


# ---------------------------------------------------------------------------------------------------------- Dice


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@EACH_SHAPE
def test_batch_dice_equals_smp(shape: tuple[int, ...], smooth: float) -> None:
    logits, target = case(*shape)
    oracle = smp.losses.DiceLoss("multiclass", smooth=smooth / 2)  # it doubles s
    close(Dice("batch", smooth)(logits, target), oracle(*heap(logits, target)))


def test_image_dice_equals_kornia_and_monai() -> None:
    logits, target = case(3, 4, 5)
    close(Dice()(logits, target), kornia.losses.dice_loss(logits, target, average="macro"))
    oracle = monai.DiceLoss(softmax=True, to_onehot_y=True, smooth_nr=0, smooth_dr=0)
    close(Dice()(logits, target), oracle(logits, target[:, None]))


def test_image_dice_with_missing_pixels_equals_kornia() -> None:
    logits, target = case(3, 4, 5)
    target[:, 3] = -100
    close(Dice()(logits, target), kornia.losses.dice_loss(logits, target, average="macro"))


@pytest.mark.parametrize("per", ["image", "batch"])
def test_dice_is_the_binary_one_of_each_class(per: str) -> None:
    logits, target = case(3, 4, 5)
    target[0] = 1  # the others are absent there
    probability = logits.softmax(1)
    answer = F.one_hot(target, 3).movedim(-1, 1)
    close(Dice(per)(logits, target), binary.Dice(per)(probability.logit(), answer))
    close(Tversky(per=per)(logits, target), binary.Tversky(per=per)(probability.logit(), answer))


def test_trap_absent_class_without_gradient() -> None:
    logits, target = case(1, 4, 5)[0], torch.zeros(1, 4, 5, dtype=torch.int64)
    absent = logits.clone().requires_grad_()
    # What SMP does with absent classes is to multiply their loss by 0; only the present one pulls.
    loss = smp.losses.DiceLoss("multiclass", classes=[1, 2])(absent, target)
    assert loss == 0
    pushed = gradient(Dice(), logits, target)
    assert (pushed[:, 1:].sum(1) > 0).all()


# ------------------------------------------------------------------------------------------------------- Tversky


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (1.0, 2.0)])
def test_tversky_equals_kornia_and_monai_and_smp(alpha: float, beta: float) -> None:
    logits, target = case(3, 4, 5)
    close(Tversky(alpha, beta)(logits, target), kornia.losses.tversky_loss(logits, target, alpha, beta))
    oracle = monai.TverskyLoss(softmax=True, to_onehot_y=True, alpha=alpha, beta=beta, smooth_nr=0, smooth_dr=0)
    close(Tversky(alpha, beta)(logits, target), oracle(logits, target[:, None]))
    whole = smp.losses.TverskyLoss("multiclass", alpha=alpha, beta=beta)
    close(Tversky(alpha, beta, "batch")(logits, target), whole(logits, target))


@EACH_SHAPE
def test_batch_tversky_equals_smp(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    oracle = smp.losses.TverskyLoss("multiclass", alpha=0.3, beta=0.7)
    close(Tversky(0.3, 0.7, "batch")(logits, target), oracle(*heap(logits, target)))


@pytest.mark.parametrize("per", ["image", "batch"])
@EACH_SHAPE
def test_tversky_of_halves_is_dice(shape: tuple[int, ...], per: str) -> None:
    logits, target = case(*shape)
    close(Tversky(0.5, 0.5, per)(logits, target), Dice(per)(logits, target))


# -------------------------------------------------------------------------------------------------------- Lovasz


@EACH_SHAPE
def test_batch_lovasz_equals_kornia_and_smp(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    close(Lovasz("batch")(logits, target), kornia.losses.lovasz_softmax_loss(*heap(logits, target)))
    single = heap(logits.float(), target)
    close(Lovasz("batch")(logits.float(), target), smp.losses.LovaszLoss("multiclass")(*single))


def test_image_lovasz_equals_kornia() -> None:
    logits, target = case(3, 4, 5)
    close(Lovasz()(logits, target), kornia.losses.lovasz_softmax_loss(logits, target))


def test_trap_lovasz_of_an_absent_class_pushes_one_pixel_or_none() -> None:
    logits, target = case(1, 4, 5)[0], torch.zeros(1, 4, 5, dtype=torch.int64)
    free = logits.clone().requires_grad_()
    kornia.losses.lovasz_softmax_loss(free, target).backward()  # type: ignore[no-untyped-call]
    assert free.grad is not None
    pushed = gradient(Lovasz(), logits, target)
    assert (pushed[:, 1:].sum(1) > free.grad[:, 1:].sum(1)).sum() > 15


# ------------------------------------------------------------------------------------------------- hinge and poly


@EACH_SHAPE
def test_hinge_equals_scikit_learn(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    rows = logits.movedim(1, -1).reshape(-1, 3).numpy()
    close(Hinge()(logits, target), hinge_loss(target.flatten().numpy(), rows, labels=[0, 1, 2]))


def test_hinge_of_two_classes_is_the_binary_one_on_their_difference() -> None:
    logits = 2 * torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.tensor([0, 1, 1, 0, 1, 0])
    close(Hinge()(logits, target), binary.Hinge()(logits[:, 1:] - logits[:, :1], target[:, None]))


@pytest.mark.parametrize("epsilon", [-1.0, 0.0, 2.0])
@EACH_SHAPE
def test_poly_equals_timm(shape: tuple[int, ...], epsilon: float) -> None:
    logits, target = case(*shape)
    rows = logits.movedim(1, -1).reshape(-1, 3), target.flatten()
    close(Poly(epsilon)(logits.float(), target), PolyCrossEntropy(epsilon)(*rows))  # timm computes in float32
    wrong = 1 - rows[0].softmax(1)[torch.arange(len(rows[1])), rows[1]]
    close(Poly(epsilon)(logits, target), F.cross_entropy(*rows) + epsilon * wrong.mean())


def test_poly_with_epsilon_0_is_cross_entropy() -> None:
    logits, target = case(3, 4, 5)
    close(Poly(0)(logits, target), CrossEntropy()(logits, target))


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("build", "params", "message"),
    [
        (Dice, {"per": "class"}, "per = 'class' is unknown; use image or batch"),
        (Dice, {"smooth": -1}, r"smooth = -1 is outside \[0, inf\]"),
        (Tversky, {"alpha": 0}, "alpha = 0 would let false positives cost nothing"),
        (Tversky, {"beta": 0}, "beta = 0 would let false negatives cost nothing"),
        (Lovasz, {"per": 1}, "per = 1 is unknown"),
        (Poly, {"epsilon": -1.5}, r"epsilon = -1.5 is outside \[-1, inf\]"),
        (Poly, {"epsilon": math.nan}, "epsilon = nan is not a finite number"),
    ],
)
def test_bad_options_are_refused(build: type[nn.Module], params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**params)
