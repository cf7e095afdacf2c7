"""Multiclass losses: independent oracles, limits, and each trap of the field by name."""

import math

import kornia.losses
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tandem.errors import ConfigError, DataError
from tandem.losses.multiclass import CrossEntropy, Focal

WEIGHTS = [0.5, 2.0, 1.25]
LOSSES = {
    "cross_entropy": CrossEntropy(),
    "weighted": CrossEntropy(weight=WEIGHTS),
    "smoothed": CrossEntropy(weight=WEIGHTS, label_smoothing=0.1),
    "focal": Focal(gamma=2),
    "focal_half": Focal(gamma=0.5, alpha=WEIGHTS),
}
EACH = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
SHAPES = [(7,), (3, 4, 5), (2, 3, 2, 2)]


def case(*shape: int, seed: int = 0, missing: float = 0.0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((shape[0], 3, *shape[1:]), generator=rng, dtype=torch.float64)
    target = torch.randint(0, 3, shape, generator=rng)
    gone = torch.rand(shape, generator=rng) < missing
    gone.view(-1)[0] = False
    return logits, target.masked_fill(gone, -100)


def gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    return logits.grad


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


def softmax_focal_by_hand(logits: Tensor, target: Tensor, gamma: float, alpha: list[float] | None) -> float:
    """One row or pixel at a time, in numpy."""
    rows = np.moveaxis(logits.numpy(), 1, -1).reshape(-1, logits.shape[1])
    costs = []
    for row, answer in zip(rows, target.numpy().reshape(-1), strict=True):
        if answer < 0:
            continue
        p = np.exp(row - row.max())
        p = (p / p.sum())[answer]
        costs.append(-(1.0 if alpha is None else alpha[answer]) * (1 - p) ** gamma * np.log(p))
    return float(np.mean(costs))


# -------------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cross_entropy_equals_torch(shape: tuple[int, ...], smoothing: float, weight: list[float] | None) -> None:
    for missing in (0.0, 0.4):
        logits, target = case(*shape, missing=missing)
        classes = None if weight is None else torch.tensor(weight, dtype=torch.float64)
        expected = F.cross_entropy(logits, target, classes, label_smoothing=smoothing)
        close(CrossEntropy(weight, smoothing)(logits, target), expected)


@pytest.mark.parametrize("alpha", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 3.7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_focal_equals_a_loop(shape: tuple[int, ...], gamma: float, alpha: list[float] | None) -> None:
    for missing in (0.0, 0.4):
        logits, target = case(*shape, missing=missing)
        close(Focal(gamma, alpha)(logits, target), softmax_focal_by_hand(logits, target, gamma, alpha))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_focal_equals_kornia_for_each_pixel_and_not_its_mean(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    rows = logits.movedim(1, -1).reshape(-1, 3), target.flatten()
    each = kornia.losses.focal_loss(*rows, alpha=None, gamma=2.0)  # (rows, classes), 0 but at the answer
    close(Focal(gamma=2)(logits, target), each.sum(1).mean())
    mean = kornia.losses.focal_loss(*rows, alpha=None, gamma=2.0, reduction="mean")
    close(Focal(gamma=2)(logits, target), 3 * mean)  # kornia divides by the classes too


def test_trap_focal_that_is_one_sigmoid_for_each_class() -> None:
    logits, target = case(3, 4, 5)
    sigmoids = smp.losses.FocalLoss("multiclass", gamma=2.0)(logits, target)
    assert abs(sigmoids - Focal(gamma=2)(logits, target)) > 0.1


# --------------------------------------------------------------------------------------------------------------- limits


def test_focal_with_gamma_0_is_cross_entropy() -> None:
    logits, target = case(3, 4, 5)
    close(Focal(gamma=0)(logits, target), CrossEntropy()(logits, target))
    close(gradient(Focal(gamma=0), logits, target), gradient(CrossEntropy(), logits, target))


@EACH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_value_and_gradient_are_finite_at_100(loss: nn.Module, dtype: torch.dtype) -> None:
    logits = torch.tensor([[100.0, -100, -100], [-100, 100, -100], [100, 100, -100]], dtype=dtype)
    for answer in range(3):
        target = torch.full((3,), answer)
        assert loss(logits, target).isfinite()
        assert gradient(loss, logits, target).isfinite().all()


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_trap_focal_gamma_below_1_where_p_is_1(gamma: float) -> None:
    found = gradient(
        Focal(gamma), torch.tensor([[100.0, 0.0], [30.0, 0.0], [9.0, 0.0]]), torch.zeros(3, dtype=torch.int64)
    )
    assert found.isfinite().all()
    assert (found[:, 0] <= 0).all()
    monai = pytest.importorskip("monai.losses")
    free = torch.tensor([[100.0, 0.0]], requires_grad=True)
    monai.FocalLoss(gamma=gamma, use_softmax=True, to_onehot_y=True)(free, torch.zeros(1, 1)).backward()
    assert free.grad is not None
    assert free.grad.isnan().any()  # MONAI


# ------------------------------------------------------------------------------------------------------ what is missing


@EACH
def test_both_marks_of_missing_mean_the_same(loss: nn.Module) -> None:
    logits, target = case(3, 4, 5, missing=0.4)
    assert (target == -100).any()
    expected = loss(logits, target)
    assert torch.equal(loss(logits, target.masked_fill(target == -100, 255)), expected)
    assert torch.equal(loss(logits, target.masked_fill(target == -100, 255).to(torch.uint8)), expected)


def test_only_classes_of_weight_0_give_a_zero() -> None:
    logits, target = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    assert F.cross_entropy(logits, target, torch.tensor([0.0, 1.0])).isnan()  # torch
    loss = CrossEntropy(weight=[0, 1])
    assert loss(logits, target) == 0
    assert torch.equal(gradient(loss, logits, target), torch.zeros(4, 2))


def test_255_is_a_class_where_there_are_that_many() -> None:
    logits, target = torch.randn(2, 300, generator=torch.Generator().manual_seed(0)), torch.tensor([255, -100])
    close(CrossEntropy()(logits, target), F.cross_entropy(logits, target))
    with pytest.raises(DataError, match=r"holds 300; .* 0 to 299 and -100 \(missing\)"):
        CrossEntropy()(logits, torch.tensor([300, 255]))


# ----------------------------------------------------------------------------------------------------------- invariance


@EACH
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(5)))
def test_order_of_rows_and_pixels_does_not_matter(loss: nn.Module, seed: int, order: list[int]) -> None:
    logits, target = case(5, 5, 3, seed=seed, missing=0.3)
    expected = loss(logits, target)
    close(loss(logits[order], target[order]), expected)
    close(loss(logits[:, :, order], target[:, order]), expected)
    close(loss(torch.cat([logits, logits]), torch.cat([target, target])), expected)


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("build", "knobs", "message"),
    [
        (CrossEntropy, {"label_smoothing": 1.1}, r"label_smoothing = 1.1 is outside \[0, 1\]"),
        (CrossEntropy, {"label_smoothing": None}, "label_smoothing = None is not a finite number"),
        (CrossEntropy, {"weight": 2.0}, "weight = 2.0 is not a list; give one number for each class, or null"),
        (CrossEntropy, {"weight": "12"}, "weight = '12' is unknown; use balanced, one number for each class, or null"),
        (CrossEntropy, {"weight": [1, -1]}, r"weight\[1\] = -1 is outside \[0, inf\]"),
        (CrossEntropy, {"weight": [1, math.inf]}, r"weight\[1\] = inf is not a finite number"),
        (CrossEntropy, {"weight": [0, 0]}, "would not weigh classes against each other"),
        (CrossEntropy, {"weight": []}, "would not weigh classes against each other"),
        (Focal, {"gamma": -0.1}, r"gamma = -0.1 is outside \[0, inf\]"),
        (Focal, {"alpha": 0.25}, "alpha = 0.25 is not a list"),
        (Focal, {"alpha": [1, None]}, r"alpha\[1\] = None is not a finite number"),
    ],
)
def test_bad_knobs_are_refused(build: type[nn.Module], knobs: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        build(**knobs)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("loss", [CrossEntropy(weight=[1, 2]), Focal(alpha=[1, 2])], ids=["cross_entropy", "focal"])
def test_class_weights_must_fit_the_logits(loss: nn.Module) -> None:
    with pytest.raises(ConfigError, match="has 2 numbers for 3 classes; give one for each class"):
        loss(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))


@EACH
@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(8, 3), torch.zeros(8, 1, dtype=torch.int64), r"need a target \(8,\), not \(8, 1\)"),
        (torch.zeros(8, 3), torch.zeros(1, dtype=torch.int64), r"need a target \(8,\), not \(1,\)"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.int64), r"need a target \(2, 4, 4\)"),
        (torch.zeros(8), torch.zeros(8, dtype=torch.int64), r"logits have shape \(8,\); give \(N, C\)"),
        (torch.zeros(8, 1), torch.zeros(8, dtype=torch.int64), "1 class; give at least 2, or use a binary loss"),
        (torch.zeros(8, 3), torch.zeros(8), r"target is torch\.float32; give integer class indices"),
        (torch.zeros(8, 3), torch.zeros(8, dtype=torch.bool), r"target is torch\.bool"),
        (torch.zeros(8, 3, dtype=torch.int32), torch.zeros(8, dtype=torch.int64), r"logits are torch\.int32"),
    ],
)
def test_bad_shapes_and_types_are_refused(loss: nn.Module, logits: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        loss(logits, target)
    assert "\n" not in str(refusal.value)


@EACH
@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (3, torch.int64),
        (-1, torch.int64),
        (254, torch.uint8),
        (156, torch.uint8),
        (-1, torch.int8),
        (1000, torch.int16),
    ],
    ids=str,
)
def test_other_values_of_target_are_refused(loss: nn.Module, value: int, dtype: torch.dtype) -> None:
    # 156 in uint8 and -1 in int8 are traps: torch compares them equal to -100 and 255
    with pytest.raises(DataError, match=rf"multiclass loss: the target holds {value}; .* 0 to 2 and -100 or 255"):
        loss(torch.zeros(3, 3), torch.tensor([0, 1, value], dtype=dtype))


def test_class_weights_follow_the_device_but_not_the_checkpoint() -> None:
    loss = CrossEntropy(weight=WEIGHTS)
    assert loss.state_dict() == {}
    assert loss.to("meta").weight.is_meta  # type: ignore[union-attr]
