"""Binary losses: worked examples, independent oracles, limits, and each trap of the field by name."""

import math

import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from tandem.errors import ConfigError, DataError
from tandem.losses import Composite
from tandem.losses.binary import BCE, BCEFocal, Dice, Focal, Hinge

LOSSES = {
    "bce": BCE(),
    "focal": Focal(gamma=2, alpha=0.25),
    "focal_half": Focal(gamma=0.5),
    "dice_image": Dice(),
    "dice_batch": Dice(per="batch"),
    "dice_smooth": Dice(smooth=1.0),
    "bce_focal": BCEFocal(),
    "dice_bce": Composite({"dice": Dice(), "bce": BCE()}, {"dice": 1.0, "bce": 1.0}),
}
EACH = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
SHAPES = [(6, 1), (6, 3), (3, 1, 5, 4), (2, 3, 4, 5), (2, 2, 3, 4, 2)]


def total(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    value = loss(logits, target)
    if isinstance(value, dict):
        weights: dict[str, float] = loss.weights  # type: ignore[assignment]
        value = sum(weights[name] * term for name, term in value.items())
    assert isinstance(value, Tensor)
    assert value.shape == ()
    return value


def case(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=rng, dtype=torch.float64)
    target = (torch.rand(shape, generator=rng) < 0.3).to(torch.uint8)
    (target[:1] if len(shape) == 2 else target[..., 0]).fill_(1)  # every cell has foreground
    return logits.to(dtype), target


def gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    total(loss, logits, target).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    return logits.grad


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


# ------------------------------------------------------------------------------------------------ the sources' examples

PROBABILITIES = torch.tensor(
    [
        [0.9, 0.8, 0.7, 0.6, 0.5],
        [0.7, 0.6, 0.4, 0.3, 0.2],
        [0.8, 0.7, 0.5, 0.4, 0.3],
        [0.6, 0.5, 0.4, 0.3, 0.2],
        [0.5, 0.4, 0.3, 0.2, 0.1],
    ],
    dtype=torch.float64,
)[None, None]
SQUARE = torch.zeros(1, 1, 5, 5)
SQUARE[..., 1:3, 1:3] = 1


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(BCE(), 0.7220934), (Focal(gamma=2, alpha=0.25), 0.2067525)],
    ids=["cross-entropy", "focal"],
)
def test_the_5x5_example_has_the_corrected_values(loss: nn.Module, expected: float) -> None:
    assert loss(PROBABILITIES.logit(), SQUARE).item() == pytest.approx(expected, abs=5e-8)


@pytest.mark.parametrize(
    ("loss", "expected"), [(BCE(), 1.2039728), (Focal(gamma=2, alpha=0.25), 0.1474867)], ids=["cross-entropy", "focal"]
)
def test_the_one_pixel_example(loss: nn.Module, expected: float) -> None:
    one_pixel = torch.tensor([[0.3]], dtype=torch.float64).logit()
    assert loss(one_pixel, torch.ones(1, 1)).item() == pytest.approx(expected, abs=5e-8)


def test_bce_focal_is_the_combined_loss_of_the_sources() -> None:
    loss = BCEFocal()
    assert loss.weights == {"bce": 0.5, "focal": 0.5}
    logits, target = case(3, 1, 5, 4)
    terms = loss(logits, target)
    assert list(terms) == ["bce", "focal"]
    close(terms["bce"], BCE()(logits, target))
    close(terms["focal"], Focal(gamma=3, alpha=None)(logits, target))
    assert BCEFocal(alpha=0.25, gamma=2, bce_weight=0, focal_weight=2).weights == {"bce": 0, "focal": 2}


# -------------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bce_equals_torch(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    close(BCE()(logits, target), F.binary_cross_entropy_with_logits(logits, target.double()))


@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 3.7])
def test_focal_equals_torchvision(gamma: float, alpha: float | None) -> None:
    for shape in SHAPES:
        logits, target = case(*shape)
        off = -1 if alpha is None else alpha
        expected = sigmoid_focal_loss(logits, target.double(), alpha=off, gamma=gamma, reduction="mean")
        close(Focal(gamma, alpha)(logits, target), expected)


@pytest.mark.parametrize("smooth", [0.0, 1e-5, 1.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_dice_equals_smp(shape: tuple[int, ...], smooth: float) -> None:
    logits, target = case(*shape)
    oracle = smp.losses.DiceLoss("multilabel", smooth=smooth / 2)  # it doubles s
    close(Dice("batch", smooth)(logits, target), oracle(logits.reshape(*shape[:2], -1), target.reshape(*shape[:2], -1)))


@pytest.mark.parametrize("smooth", [0.0, 1e-5, 1.0])
@pytest.mark.parametrize("shape", SHAPES[2:], ids=str)
def test_image_dice_equals_the_mean_of_smp_over_images(shape: tuple[int, ...], smooth: float) -> None:
    logits, target = case(*shape)
    oracle = smp.losses.DiceLoss("multilabel", smooth=smooth / 2)  # it doubles s
    flat = [x.reshape(*shape[:2], -1) for x in (logits, target)]
    each = [oracle(z[None], y[None]) for z, y in zip(*flat, strict=True)]
    close(Dice("image", smooth)(logits, target), torch.stack(each).mean())


def test_dice_with_missing_pixels_equals_smp() -> None:
    logits, target = case(4, 1, 6, 6)
    target[:, :, 3] = 255
    oracle = smp.losses.DiceLoss("binary", ignore_index=255)
    close(Dice("batch")(logits, target), oracle(logits, target.double()))


# --------------------------------------------------------------------------------------------------------------- limits


def test_focal_with_gamma_0_is_bce() -> None:
    logits, target = case(2, 3, 4, 5)
    assert torch.equal(Focal(gamma=0)(logits, target), BCE()(logits, target))
    assert torch.equal(gradient(Focal(gamma=0), logits, target), gradient(BCE(), logits, target))


# ----------------------------------------------------------------------------------------------------------- invariance


@EACH
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(5)))
def test_order_of_rows_and_pixels_does_not_matter(loss: nn.Module, seed: int, order: list[int]) -> None:
    logits, target = case(5, 2, 5, 3, seed=seed)
    target[torch.rand(target.shape, generator=torch.Generator().manual_seed(seed)) < 0.2] = 255
    expected = total(loss, logits, target)
    close(total(loss, logits[order], target[order]), expected)
    close(total(loss, logits[:, :, order], target[:, :, order]), expected)


@EACH
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**31), copies=st.integers(2, 4))
def test_a_repeated_batch_costs_the_same(loss: nn.Module, seed: int, copies: int) -> None:
    logits, target = case(3, 2, 4, 3, seed=seed)
    repeated = total(loss, logits.repeat(copies, 1, 1, 1), target.repeat(copies, 1, 1, 1))
    close(repeated, total(loss, logits, target))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), per=st.sampled_from(["image", "batch"]))
def test_dice_stays_in_0_to_1(seed: int, per: str) -> None:
    logits, target = case(3, 2, 4, 3, seed=seed)
    target[seed % 3] = 0
    assert 0 <= Dice(per)(logits, target) <= 1


# ---------------------------------------------------------------------------------------------------- the traps of Dice


def test_trap_empty_target_without_gradient() -> None:
    logits, target = case(2, 1, 8, 8)[0], torch.zeros(2, 1, 8, 8)
    for per in ("image", "batch"):
        assert (gradient(Dice(per), logits, target) > 0).all()  # a step against it lowers every logit
    zero = gradient(smp.losses.DiceLoss("binary"), logits, target)
    assert (zero == 0).all()  # SMP does not


@pytest.mark.parametrize("area", [3, 30, 300, 3000])
def test_an_empty_image_pushes_about_as_hard_as_one_with_a_lesion(area: int) -> None:
    logits = torch.full((1, 1, 128, 128), -9.0)
    logits.view(-1)[-area:] = 2.0
    pushed = gradient(Dice(), logits, torch.zeros_like(logits)).sum()
    target = torch.zeros_like(logits)
    target.view(-1)[:330] = 1
    logits.view(-1)[:330] = 2.0
    usual = gradient(Dice(), logits, target)[target == 0].sum()
    assert 0.2 < pushed / usual < 20


def test_an_empty_image_costs_0_if_nothing_and_1_if_everything_is_predicted() -> None:
    target = torch.zeros(1, 1, 16, 16)
    costs = [Dice()(torch.full_like(target, logit), target).item() for logit in (-100, -3, 0, 3, 100)]
    assert costs == sorted(costs)
    assert costs[0] == 0
    assert costs[-1] == pytest.approx(1)


def test_an_empty_image_is_not_forgotten_beside_others() -> None:
    logits, target = case(4, 1, 8, 8)
    target[3] = 0
    each = torch.stack([Dice()(z[None], y[None]) for z, y in zip(logits, target, strict=True)])
    close(Dice()(logits, target), each.mean())
    assert (gradient(Dice(), logits, target)[3] > 0).all()


@pytest.mark.parametrize(("smooth", "expected"), [(0.0, 1.0), (1e-5, 1.0), (1.0, 0.773), (100.0, 0.033)])
def test_trap_smoothing_hides_three_missed_pixels(smooth: float, expected: float) -> None:
    target = torch.zeros(1, 1, 64, 64)
    target[..., 0, :3] = 1
    missed = torch.full_like(target, 1e-4).logit()
    assert Dice(smooth=smooth)(missed, target).item() == pytest.approx(expected, abs=5e-4)
    assert Dice().smooth == 0


def test_trap_batch_dice_forgives_a_tiny_lesion() -> None:
    target = torch.zeros(2, 1, 64, 64)
    target[0, 0, 0, :3] = 1
    target[1, 0, :26] = 1  # 1664 pixels
    logits = 60 * target - 30
    logits[0] = -30
    assert Dice("batch")(logits, target).item() == pytest.approx(0.0009, abs=5e-5)
    assert Dice("image")(logits, target).item() == pytest.approx(0.5, abs=1e-5)


def test_trap_half_precision_sums_of_dice() -> None:
    logits, target = torch.zeros(1, 1, 512, 512), torch.zeros(1, 1, 512, 512)  # P = 131072 is beyond float16
    target[..., :256] = 1
    for dtype in (torch.float16, torch.bfloat16):
        assert Dice()(logits.to(dtype), target).item() == pytest.approx(0.5)
        assert (gradient(Dice(), logits.to(dtype)[..., ::8, ::8], target[..., ::8, ::8]) != 0).any()


# --------------------------------------------------------------------------------------------------- the traps of focal


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
def test_trap_focal_gamma_below_1_where_p_is_1(gamma: float) -> None:
    logits, target = torch.tensor([[40.0], [100.0]]), torch.ones(2, 1)
    oracle = logits.clone().requires_grad_()
    sigmoid_focal_loss(oracle, target, alpha=-1, gamma=gamma, reduction="mean").backward()
    assert oracle.grad is not None
    assert oracle.grad.isnan().all()  # torchvision
    found = gradient(Focal(gamma), logits, target)
    assert found.isfinite().all()
    assert (found <= 0).all()


@pytest.mark.parametrize("alpha", [0, 1, 0.0, 1.0])
def test_trap_alpha_that_silences_one_side(alpha: float) -> None:
    silent = "negative" if alpha else "positive"
    reason = rf"alpha = {alpha:g} would give every {silent} the weight 0; use null .* or a value inside \(0, 1\)"
    for build in (Focal, BCEFocal):
        with pytest.raises(ConfigError, match=reason):
            build(alpha=alpha)


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("build", "params", "message"),
    [
        (Focal, {"gamma": -1}, r"gamma = -1 is outside \[0, inf\]; 0 is plain"),
        (Focal, {"gamma": math.nan}, "gamma = nan is not a finite number"),
        (Focal, {"gamma": "two"}, "gamma = 'two' is not a finite number"),
        (Focal, {"gamma": True}, "gamma = True is not a finite number"),
        (Focal, {"alpha": -1}, r"alpha = -1 is outside \[0, 1\]; use null for no balancing"),
        (Focal, {"alpha": 1.5}, r"alpha = 1.5 is outside \[0, 1\]"),
        (BCEFocal, {"bce_weight": -0.5}, r"bce_weight = -0.5 is outside \[0, inf\]"),
        (BCEFocal, {"focal_weight": None}, "focal_weight = None is not a finite number"),
        (BCEFocal, {"bce_weight": 0, "focal_weight": 0}, "every weight of a composite loss is 0"),
        (Dice, {"per": "pixel"}, "per = 'pixel' is unknown; use image or batch"),
        (Dice, {"smooth": -1}, r"smooth = -1 is outside \[0, inf\]"),
    ],
)
def test_bad_options_are_refused(build: type[nn.Module], params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        build(**params)
    assert "\n" not in str(refusal.value)


@EACH
@pytest.mark.parametrize(
    ("logits", "target"),
    [((8, 1), (8,)), ((8,), (8,)), ((8, 1), (1, 8)), ((2, 1, 4, 4), (2, 4, 4)), ((2, 3, 4, 4), (2, 1, 4, 4))],
    ids=str,
)
def test_trap_silent_broadcasting(loss: nn.Module, logits: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="shape"):
        loss(torch.zeros(logits), torch.zeros(target))


@EACH
@pytest.mark.parametrize("value", [2, -1, 254, 255.5, -0.5, 1.0001, -100, 256, math.nan, math.inf])
def test_other_values_of_target_are_refused(loss: nn.Module, value: float) -> None:
    target = torch.tensor([[0], [1], [value]])
    with pytest.raises(DataError, match=f"binary loss: the target holds {value:g}; .* (0, 1|0 to 1) and 255"):
        loss(torch.zeros(3, 1), target)
    target[0] = 255
    with pytest.raises(DataError, match=f"the target holds {value:g}; "):
        loss(torch.zeros(3, 1), target)


def test_trap_int8_minus_one_is_not_255() -> None:
    with pytest.raises(DataError, match="holds -1"):
        BCE()(torch.zeros(2, 1), torch.tensor([[-1], [1]], dtype=torch.int8))


def test_logits_must_be_scores() -> None:
    with pytest.raises(DataError, match=r"logits are torch\.int64"):
        BCE()(torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_a_single_value_next_to_0_or_1_is_refused(dtype: torch.dtype) -> None:
    info = torch.finfo(dtype)
    zero, one = torch.zeros((), dtype=dtype), torch.ones((), dtype=dtype)
    for value in (info.smallest_normal, torch.nextafter(one, zero), torch.nextafter(one, 2 * one), 1e-3 * one):
        target = torch.zeros(1, 1, 300, 300, dtype=dtype)
        target[..., 150:] = 1
        target[0, 0, 7, 7] = value
        with pytest.raises(DataError, match="the target holds"):
            Hinge()(torch.zeros(1, 1, 300, 300), target)


def test_minus_zero_is_zero_and_strides_do_not_matter() -> None:
    logits, target = case(2, 3, 4, 5)
    signed = torch.where(target == 0, -0.0, 1.0).double()
    assert torch.equal(BCE()(logits, signed), BCE()(logits, target))
    turned = target.double().permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # channels last
    assert torch.equal(BCE()(logits, turned), BCE()(logits, target))
    assert torch.equal(BCE()(logits, turned.float().expand(2, 3, 4, 5)), BCE()(logits, target))
