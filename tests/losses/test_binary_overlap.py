"""Binary losses on overlap beyond Dice: independent oracles, limits, and traps by name."""

import math

import kornia.losses
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.losses import functional
from tandem.losses.binary import BCE, Dice, Focal, FocalTversky, Jaccard, Lovasz, Tversky, UnifiedFocal

monai = pytest.importorskip("monai.losses")

SHAPES = [(6, 1), (6, 3), (3, 1, 5, 4), (2, 3, 4, 5), (2, 2, 3, 4, 2)]
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)
DENSE = pytest.mark.parametrize("shape", SHAPES[2:], ids=str)


def case(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=rng, dtype=torch.float64)
    target = (torch.rand(shape, generator=rng) < 0.3).double()
    (target[:1] if len(shape) == 2 else target[..., 0]).fill_(1)  # every cell has foreground
    return logits, target


def gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    return logits.grad


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


def cells(shape: tuple[int, ...], *tensors: Tensor) -> list[list[Tensor]]:
    """Each channel over the whole batch, as (1, 1, pixels)."""
    return [[x[:, channel].reshape(1, 1, -1) for x in tensors] for channel in range(shape[1])]


def total(loss: UnifiedFocal, logits: Tensor, target: Tensor) -> Tensor:
    terms: dict[str, Tensor] = loss(logits, target)
    weighted = [loss.weights[name] * term for name, term in terms.items()]
    return torch.stack(weighted).sum()


# ---------------------------------------------------------------------------------------------------------- Jaccard


@pytest.mark.parametrize("smooth", [0.0, 1.0])
@EACH_SHAPE
def test_batch_jaccard_equals_smp(shape: tuple[int, ...], smooth: float) -> None:
    logits, target = case(*shape)
    oracle = smp.losses.JaccardLoss("binary", smooth=smooth)
    expected = torch.stack([oracle(z, y) for z, y in cells(shape, logits, target)]).mean()
    close(Jaccard("batch", smooth)(logits, target), expected)


@DENSE
def test_image_jaccard_equals_monai(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    oracle = monai.DiceLoss(sigmoid=True, jaccard=True, smooth_nr=0, smooth_dr=0)
    close(Jaccard()(logits, target), oracle(logits, target))


# ---------------------------------------------------------------------------------------------------------- Tversky


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.5, 0.5), (1.0, 2.0)])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@DENSE
def test_tversky_equals_monai(shape: tuple[int, ...], smooth: float, alpha: float, beta: float) -> None:
    logits, target = case(*shape)
    for per in ("image", "batch"):
        oracle = monai.TverskyLoss(
            sigmoid=True, alpha=alpha, beta=beta, smooth_nr=smooth, smooth_dr=smooth, batch=per == "batch"
        )
        close(Tversky(alpha, beta, per, smooth)(logits, target), oracle(logits, target))


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (1.0, 2.0)])
@EACH_SHAPE
def test_batch_tversky_equals_smp(shape: tuple[int, ...], alpha: float, beta: float) -> None:
    logits, target = case(*shape)
    oracle = smp.losses.TverskyLoss("binary", alpha=alpha, beta=beta)
    expected = torch.stack([oracle(z, y) for z, y in cells(shape, logits, target)]).mean()
    close(Tversky(alpha, beta, "batch")(logits, target), expected)


def test_alpha_prices_false_positives_and_beta_false_negatives() -> None:
    target = torch.zeros(1, 1, 1, 8)
    target[..., :4] = 1
    missed, invented = torch.full((2, 1, 1, 1, 8), -30.0)
    missed[..., :2] = 30
    invented[..., :6] = 30
    loss = Tversky(alpha=0.3, beta=0.7)
    close(loss(missed, target), 1 - 2 / (2 + 0.7 * 2))
    close(loss(invented, target), 1 - 4 / (4 + 0.3 * 2))


@pytest.mark.parametrize("per", ["image", "batch"])
def test_tversky_of_halves_is_dice_and_of_ones_jaccard(per: str) -> None:
    logits, target = case(2, 3, 4, 5)
    target[0, 0] = 0
    close(Tversky(0.5, 0.5, per)(logits, target), Dice(per)(logits, target))
    close(Tversky(0.5, 0.5, per, smooth=1)(logits, target), Dice(per, smooth=2)(logits, target))
    close(Tversky(1, 1, per)(logits, target), Jaccard(per)(logits, target))


# ---------------------------------------------------------------------------------------------------- focal Tversky


@pytest.mark.parametrize("gamma", [1.0, 4 / 3, 3.0])
@EACH_SHAPE
def test_focal_tversky_equals_smp(shape: tuple[int, ...], gamma: float) -> None:
    logits, target = case(*shape)
    oracle = smp.losses.TverskyLoss("binary", alpha=0.3, beta=0.7, gamma=1 / gamma)
    expected = torch.stack([oracle(z, y) for z, y in cells(shape, logits, target)]).mean()
    close(FocalTversky(0.3, 0.7, gamma, "batch")(logits, target), expected)


def test_focal_tversky_is_the_mean_of_powers_not_the_power_of_the_mean() -> None:
    logits, target = case(2, 3, 4, 5)
    channels = torch.stack([Tversky(per="batch")(logits[:, [c]], target[:, [c]]) for c in range(3)])
    close(FocalTversky(gamma=2, per="batch")(logits, target), channels.sqrt().mean())
    smp_value = smp.losses.TverskyLoss("multilabel", alpha=0.3, beta=0.7, gamma=0.5)(
        logits.flatten(2), target.flatten(2)
    )
    close(smp_value, channels.mean().sqrt())  # SMP: not the sum over classes of the paper


@pytest.mark.parametrize("per", ["image", "batch"])
def test_focal_tversky_with_gamma_1_is_tversky(per: str) -> None:
    logits, target = case(2, 3, 4, 5)
    assert torch.equal(FocalTversky(gamma=1, per=per)(logits, target), Tversky(per=per)(logits, target))


@pytest.mark.parametrize("gamma", [4 / 3, 3.0])
def test_trap_focal_tversky_at_a_perfect_prediction(gamma: float) -> None:
    target = case(2, 1, 8, 8)[1].float()
    perfect = (200 * target - 100).requires_grad_()
    smp.losses.TverskyLoss("binary", gamma=1 / gamma)(perfect, target).backward()
    assert perfect.grad is not None
    assert perfect.grad.isnan().any()  # SMP
    assert gradient(FocalTversky(gamma=gamma), perfect.detach(), target).isfinite().all()


# ----------------------------------------------------------------------------------------------------------- Lovasz


@DENSE
def test_image_lovasz_equals_kornia_and_smp(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    flat = [x.reshape(-1, 1, x[0, 0].numel(), 1) for x in (logits, target)]  # each cell an image
    close(Lovasz()(logits, target), kornia.losses.lovasz_hinge_loss(flat[0], flat[1][:, 0]))
    close(Lovasz()(logits.float(), target), smp.losses.LovaszLoss("binary", per_image=True)(flat[0].float(), flat[1]))


@EACH_SHAPE
def test_batch_lovasz_equals_kornia_and_smp(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    heaps = cells(shape, logits, target)
    expected = [kornia.losses.lovasz_hinge_loss(z[..., None], y[0][..., None]) for z, y in heaps]
    close(Lovasz("batch")(logits, target), torch.stack(expected).mean())
    single = [smp.losses.LovaszLoss("binary")(z.float(), y) for z, y in heaps]
    close(Lovasz("batch")(logits.float(), target), torch.stack(single).mean())


def test_lovasz_gradient_equals_kornia() -> None:
    logits, target = case(3, 1, 8, 8)
    free = logits.clone().requires_grad_()
    kornia.losses.lovasz_hinge_loss(free, target[:, 0]).backward()  # type: ignore[no-untyped-call]
    assert free.grad is not None
    close(gradient(Lovasz(), logits, target), free.grad)


def test_lovasz_with_missing_pixels_equals_smp() -> None:
    logits, target = (x.float() for x in case(3, 1, 8, 8))
    target[:, :, 3] = 255
    oracle = smp.losses.LovaszLoss("binary", per_image=True, ignore_index=255)
    close(Lovasz()(logits, target), oracle(logits, target))


def test_lovasz_of_hard_answers_is_twice_1_minus_iou() -> None:
    target = case(1, 1, 16, 16)[1]
    answer = case(1, 1, 16, 16, seed=1)[1]
    iou = (answer * target).sum() / (answer + target).clamp_max(1).sum()
    close(Lovasz()(2 * answer - 1, target), 2 * (1 - iou))


def test_trap_lovasz_on_an_empty_target_pushes_one_pixel() -> None:
    logits, target = case(1, 1, 8, 8)[0].float(), torch.zeros(1, 1, 8, 8)
    assert (gradient(smp.losses.LovaszLoss("binary"), logits, target) > 0).sum() == 1  # SMP
    assert (gradient(Lovasz(), logits, target) > 0).all()
    assert torch.equal(Lovasz()(logits, target), Dice()(logits, target))


def test_trap_lovasz_that_pools_the_channels() -> None:
    logits, target = (x.float() for x in case(2, 3, 4, 5))
    logits *= torch.tensor([0.1, 1.0, 5.0]).view(3, 1, 1)
    pooled = smp.losses.LovaszLoss("multilabel")(logits, target)  # SMP: all channels are one heap
    assert abs(pooled - Lovasz("batch")(logits, target)) > 0.01


# ---------------------------------------------------------------------------------------------------- unified focal


def unified_by_hand(
    logits: Tensor, target: Tensor, delta: float, gamma: float, asymmetric: bool
) -> tuple[float, float]:
    """The authors' equations, per pixel, and per image and channel."""
    p, y = logits.sigmoid().flatten(2), target.flatten(2)
    front = delta * -y * p.log() * (1 if asymmetric else (1 - p) ** gamma)
    back = (1 - delta) * -(1 - y) * (1 - p).log() * p**gamma

    def side(p: Tensor, y: Tensor) -> Tensor:
        hit, missed, invented = ((a * b).sum(2) for a, b in ((p, y), (1 - p, y), (p, 1 - y)))
        return 1 - hit / (hit + delta * missed + (1 - delta) * invented)

    other = side(1 - p, 1 - y) ** (1 if asymmetric else 1 - gamma)
    return (front + back).mean().item(), ((side(p, y) ** (1 - gamma) + other) / 2).mean().item()


@pytest.mark.parametrize("asymmetric", [True, False])
@pytest.mark.parametrize(("delta", "gamma"), [(0.6, 0.5), (0.8, 0.2), (0.5, 0.0)])
@DENSE
def test_unified_focal_equals_the_authors_equations(
    shape: tuple[int, ...], delta: float, gamma: float, asymmetric: bool
) -> None:
    logits, target = case(*shape)
    focal, tversky = unified_by_hand(logits, target, delta, gamma, asymmetric)
    terms = UnifiedFocal(0.3, delta, gamma, asymmetric)(logits, target)
    close(terms["focal"], focal)
    close(terms["tversky"], tversky)
    assert UnifiedFocal(0.3).weights == {"focal": 0.3, "tversky": 0.7}


@pytest.mark.parametrize(("weight", "delta", "gamma"), [(0.5, 0.7, 0.5), (0.0, 0.6, 0.25), (0.8, 0.6, 0.0)])
def test_unified_focal_equals_monai_with_probabilities_and_half_the_focal_term(
    weight: float, delta: float, gamma: float
) -> None:
    logits, target = case(3, 1, 8, 8)
    # MONAI asks for logits but takes no sigmoid, and divides the focal sum by the two classes (the authors do not).
    oracle = monai.AsymmetricUnifiedFocalLoss(weight=weight, delta=delta, gamma=gamma)(logits.sigmoid(), target)
    terms = UnifiedFocal(weight, delta, gamma)(logits, target)
    close(weight * terms["focal"] / 2 + (1 - weight) * terms["tversky"], oracle)


@pytest.mark.parametrize("asymmetric", [True, False])
def test_unified_focal_without_gamma_is_bce_and_dice_of_both_sides(asymmetric: bool) -> None:
    logits, target = case(2, 3, 4, 5)
    terms = UnifiedFocal(delta=0.5, gamma=0, asymmetric=asymmetric)(logits, target)
    close(2 * terms["focal"], BCE()(logits, target))
    close(terms["tversky"], (Dice()(logits, target) + Dice()(-logits, 1 - target)) / 2)


def test_unified_focal_at_the_ends_of_its_weight_is_focal_or_focal_tversky() -> None:
    logits, target = case(2, 3, 4, 5)
    pixels = UnifiedFocal(weight=1, delta=0.7, gamma=0.5, asymmetric=False)
    close(total(pixels, logits, target), Focal(gamma=0.5, alpha=0.7)(logits, target))
    sides = FocalTversky(alpha=0.3, beta=0.7, gamma=1 / (1 - 0.5))
    overlap = UnifiedFocal(weight=0, delta=0.7, gamma=0.5, asymmetric=False)
    close(total(overlap, logits, target), (sides(logits, target) + sides(-logits, 1 - target)) / 2)


def test_unified_focal_where_one_side_is_absent() -> None:
    logits = case(2, 1, 8, 8)[0]
    for target in (torch.zeros_like(logits), torch.ones_like(logits)):
        found = UnifiedFocal()(logits.requires_grad_(), target)["tversky"]
        assert 0 < found < 1
        assert torch.autograd.grad(found, logits)[0].isfinite().all()


# ------------------------------------------------------------------------------------------------ two ways to a value


@pytest.mark.parametrize(
    "loss", [Dice(), Jaccard(), Tversky(), FocalTversky(), Lovasz()], ids=lambda x: type(x).__name__
)
def test_a_row_without_a_target_changes_nothing_beside_rows_that_all_have_foreground(loss: nn.Module) -> None:
    logits, target = case(3, 1, 5, 4)
    more = torch.cat([logits, logits[:1]]), torch.cat([target, torch.full_like(target[:1], 255)])
    assert torch.equal(loss(*more), loss(logits, target))
    assert torch.equal(gradient(loss, *more)[:3], gradient(loss, logits, target))


@pytest.mark.parametrize("pixels", [1, 40, 41, 400])
def test_lovasz_does_not_depend_on_how_many_pixels_are_sorted_at_a_time(
    pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, target = case(5, 2, 5, 4)
    target[1, 0, 2:] = 255
    expected = Lovasz()(logits, target), gradient(Lovasz(), logits, target)
    monkeypatch.setattr(functional, "_SORTED", pixels)
    assert torch.equal(Lovasz()(logits, target), expected[0])
    assert torch.equal(gradient(Lovasz(), logits, target), expected[1])


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("build", "knobs", "message"),
    [
        (Jaccard, {"per": "pixel"}, "per = 'pixel' is unknown; use image or batch"),
        (Jaccard, {"smooth": -1}, r"smooth = -1 is outside \[0, inf\]"),
        (
            Tversky,
            {"alpha": 0},
            "alpha = 0 would let false positives cost nothing, so that a prediction of all foreground would be perfect",
        ),
        (Tversky, {"beta": 0}, "beta = 0 would let false negatives cost nothing"),
        (Tversky, {"alpha": None}, "alpha = None is not a finite number"),
        (FocalTversky, {"gamma": 0}, r"gamma = 0 would mean the power 1 / 0; 1 is tversky"),
        (FocalTversky, {"gamma": math.nan}, "gamma = nan is not a finite number"),
        (Lovasz, {"per": None}, "per = None is unknown; use image or batch"),
        (UnifiedFocal, {"weight": 1.5}, r"weight = 1.5 is outside \[0, 1\]; 0 is the tversky term alone"),
        (UnifiedFocal, {"delta": 1}, "delta = 1 would give every negative the weight 0"),
        (UnifiedFocal, {"delta": 0}, "delta = 0 would give every positive the weight 0"),
        (UnifiedFocal, {"gamma": 1}, "gamma = 1 would leave the overlap without a gradient"),
        (UnifiedFocal, {"per": "pixel"}, "per = 'pixel' is unknown"),
    ],
)
def test_bad_knobs_are_refused(build: type[nn.Module], knobs: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        build(**knobs)
    assert "\n" not in str(refusal.value)
