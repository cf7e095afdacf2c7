"""Binary losses on single pixels: worked examples, independent oracles, limits, and traps by name."""

import math

import kornia.losses
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from sklearn.metrics import brier_score_loss, hinge_loss
from timm.loss import AsymmetricLossMultiLabel
from torch import Tensor, nn
from torch.nn import functional as F

from tandem.errors import ConfigError, DataError
from tandem.losses.binary import BCE, Asymmetric, BalancedBCE, Brier, Dice, Focal, Hinge

SHAPES = [(6, 1), (6, 3), (3, 1, 5, 4), (2, 3, 4, 5), (2, 2, 3, 4, 2)]
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)


def case(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=rng, dtype=torch.float64)
    return logits, (torch.rand(shape, generator=rng) < 0.4).double()


def gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    return logits.grad


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


# --------------------------------------------------------------------------------------------------------- balanced BCE


@pytest.mark.parametrize(("beta", "expected"), [(0.16, 0.5391858), (0.84, 0.1829077)], ids=["as printed", "as meant"])
def test_balanced_bce_on_the_5x5_example_has_the_corrected_values(beta: float, expected: float) -> None:
    rows = [[9, 8, 7, 6, 5], [7, 6, 4, 3, 2], [8, 7, 5, 4, 3], [6, 5, 4, 3, 2], [5, 4, 3, 2, 1]]
    logits = (torch.tensor(rows, dtype=torch.float64) / 10).logit()[None, None]
    square = torch.zeros(1, 1, 5, 5)
    square[..., 1:3, 1:3] = 1
    assert BalancedBCE(beta)(logits, square).item() == pytest.approx(expected, abs=5e-8)


def test_balanced_bce_on_the_one_pixel_example() -> None:
    one_pixel = torch.tensor([[0.3]], dtype=torch.float64).logit()
    assert BalancedBCE(0.89)(one_pixel, torch.ones(1, 1)).item() == pytest.approx(1.0715358, abs=5e-8)


@EACH_SHAPE
def test_balanced_bce_equals_torch_and_kornia(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    weight = torch.where(target > 0, 0.8, 0.2).double()
    close(BalancedBCE(0.8)(logits, target), F.binary_cross_entropy_with_logits(logits, target, weight))
    oracle = kornia.losses.BinaryFocalLossWithLogits(alpha=0.8, gamma=0.0, reduction="mean")
    close(BalancedBCE(0.8)(logits, target), oracle(logits, target))


def test_balanced_bce_with_the_background_share_weighs_both_sides_alike() -> None:
    logits = torch.zeros(1, 1, 8, 8)
    target = torch.zeros(1, 1, 8, 8)
    target[..., :2, :3] = 1
    pull = gradient(BalancedBCE(beta=1 - 6 / 64), logits, target)
    close(-pull[target == 1].sum(), pull[target == 0].sum())


def test_balanced_bce_at_one_half_is_half_of_bce() -> None:
    logits, target = case(2, 3, 4, 5)
    close(2 * BalancedBCE(0.5)(logits, target), BCE()(logits, target))


def test_beta_may_be_set_after_building() -> None:
    logits, target = case(2, 3, 4, 5)
    loss = BalancedBCE()
    loss.beta = 0.7
    assert torch.equal(loss(logits, target), BalancedBCE(0.7)(logits, target))


# ------------------------------------------------------------------------------------------------------ Brier and hinge


@EACH_SHAPE
def test_brier_equals_scikit_learn(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    close(Brier()(logits, target), brier_score_loss(target.flatten().numpy(), logits.sigmoid().flatten().numpy()))


@EACH_SHAPE
def test_hinge_equals_scikit_learn(shape: tuple[int, ...]) -> None:
    logits, target = case(*shape)
    close(Hinge()(logits, target), hinge_loss(target.flatten().numpy(), logits.flatten().numpy()))


def test_trap_hinge_on_0_and_1_as_if_they_were_signs() -> None:
    logits, target = torch.full((1, 1), 2.0), torch.zeros(1, 1)
    signs = torch.relu(1 - logits * target).mean()  # what a hinge for -1 and 1 gives: no matter what the logit is
    assert signs == 1
    assert Hinge()(logits, target) == 3


# ------------------------------------------------------------------------------------------------------------------ ASL


@pytest.mark.parametrize("clip", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(("positive", "negative"), [(0.0, 0.0), (1.0, 4.0), (2.0, 3.5)])
@EACH_SHAPE
def test_asymmetric_equals_timm(shape: tuple[int, ...], positive: float, negative: float, clip: float) -> None:
    logits, target = case(*shape)
    oracle = AsymmetricLossMultiLabel(negative, positive, clip, reduction="mean")  # float32 inside
    close(Asymmetric(positive, negative, clip)(logits, target), oracle(logits, target).double())


def test_asymmetric_equals_a_loop() -> None:
    logits, target = case(2, 3, 4, 5)
    costs = []
    for z, y in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        q = max(p - 0.1, 0)
        costs.append(-((1 - p) ** 1.5) * math.log(p) if y else -(q**2.5) * math.log(1 - q))
    close(Asymmetric(1.5, 2.5, 0.1)(logits, target), float(np.mean(costs)))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_asymmetric_with_one_gamma_is_focal(gamma: float) -> None:
    logits, target = case(2, 3, 4, 5)
    assert torch.equal(Asymmetric(gamma, gamma, clip=0)(logits, target), Focal(gamma)(logits, target))


def test_asymmetric_forgets_negatives_below_the_clip() -> None:
    logits, target = torch.tensor([[0.04], [0.06]]).logit(), torch.zeros(2, 1)
    forgotten, kept = gradient(Asymmetric(gamma_neg=1), logits, target)
    assert forgotten == 0
    assert kept > 0


@pytest.mark.parametrize("clip", [0.0, 1e-9, 0.05])
def test_trap_asymmetric_gamma_below_1_where_p_is_1(clip: float) -> None:
    logits, target = torch.tensor([[100.0], [100.0], [-100.0]]), torch.tensor([[1.0], [0.0], [0.0]])
    oracle = logits.clone().requires_grad_()
    AsymmetricLossMultiLabel(0.5, 0.5, clip, reduction="mean")(oracle, target).backward()
    assert oracle.grad is not None
    assert oracle.grad.isnan().any()  # timm
    assert gradient(Asymmetric(0.5, 0.5, clip), logits, target).isfinite().all()


# --------------------------------------------------------------------------------------------- traps of other libraries


def test_trap_logits_into_a_loss_on_probabilities() -> None:
    monai = pytest.importorskip("monai.losses")
    target = torch.zeros(1, 1, 8, 8)
    target[..., :4, :4] = 1
    perfect = 60 * target - 30
    assert monai.DiceLoss()(perfect, target) > 1  # MONAI without its flag: worse than the worst Dice, and no warning
    for loss in (Dice(), BCE(), Brier(), Focal()):
        assert 0 <= loss(perfect, target) < 1e-6


def test_trap_nine_of_ten_rows_without_a_target() -> None:
    logits, target = torch.zeros(10, 1, 4, 4), torch.full((10, 1, 4, 4), 255.0)
    target[0] = 1
    diluted = smp.losses.SoftBCEWithLogitsLoss(ignore_index=255)(logits, target)
    assert diluted.item() == pytest.approx(math.log(2) / 10)  # SMP divides by all rows
    assert BCE()(logits, target).item() == pytest.approx(math.log(2))


def test_trap_ignored_pixels_that_multiply_by_the_number_of_classes() -> None:
    from tandem.losses.multiclass import Focal as SoftmaxFocal

    monai = pytest.importorskip("monai.losses")
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    target[:, 0] = 255
    values = []
    for mark, rows in ((255, slice(None)), (None, slice(1, None))):
        oracle = monai.FocalLoss(use_softmax=True, to_onehot_y=True, ignore_index=mark)
        values.append(oracle(logits[:, :, rows], target[:, None, rows]).item())
    assert values[0] == pytest.approx(3 * values[1], rel=1e-4)  # MONAI: ignoring or cutting away are not the same
    close(SoftmaxFocal()(logits, target), SoftmaxFocal()(logits[:, :, 1:], target[:, 1:]))


def test_trap_weights_along_the_width() -> None:
    logits, target = torch.zeros(2, 3, 4, 3), torch.ones(2, 3, 4, 3)
    weight = torch.tensor([1.0, 10.0, 100.0])
    along = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none")
    assert (along[0, 0, 0] / along[0, 0, 0, 0]).tolist() == [1, 10, 100]  # torch: columns, not channels; no warning
    with pytest.raises(TypeError):
        BCE(pos_weight=weight)  # type: ignore[call-arg]


def test_trap_half_logits_with_a_float32_target() -> None:
    logits, target = case(2, 1, 64, 64)
    half = logits.half()
    for loss in (Dice(), BCE(), Focal(), Brier()):
        assert (gradient(loss, half, target.float()) != 0).any()


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("build", "params", "message"),
    [
        (BalancedBCE, {"beta": 0}, r"beta = 0 would give every positive the weight 0; use a value inside \(0, 1\)"),
        (BalancedBCE, {"beta": 1}, "beta = 1 would give every negative the weight 0"),
        (BalancedBCE, {"beta": 1.2}, r"beta = 1.2 is outside \[0, 1\]"),
        (BalancedBCE, {"beta": "high"}, "beta = 'high' is unknown; use auto or a value inside"),
        (BalancedBCE, {"beta": None}, "beta = None is not a finite number"),
        (Asymmetric, {"gamma_pos": -1}, r"gamma_pos = -1 is outside \[0, inf\]"),
        (Asymmetric, {"gamma_neg": math.inf}, "gamma_neg = inf is not a finite number"),
        (Asymmetric, {"clip": 1}, "clip = 1 would give every negative the loss 0; 0 is none"),
        (Asymmetric, {"clip": None}, "clip = None is not a finite number"),
    ],
)
def test_bad_options_are_refused(build: type[nn.Module], params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        build(**params)
    assert "\n" not in str(refusal.value)


def test_percentages_as_a_target_are_refused() -> None:
    with pytest.raises(DataError, match=r"holds 50\.5"):
        Brier()(torch.zeros(1, 1), torch.full((1, 1), 50.5))
