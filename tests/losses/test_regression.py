"""Losses for numbers: torch and scikit-learn as oracles, limits, and traps by name."""

import math

import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_squared_error
from torch import Tensor, nn
from torch.nn import functional as F

from tandem.errors import ConfigError, DataError
from tandem.losses import RegressionLoss
from tandem.losses.regression import MAE, MSE, Huber

SHAPES = pytest.mark.parametrize("shape", [(8, 1), (8, 3), (2, 3, 4, 5)], ids=str)


def case(*shape: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    prediction = torch.randn(shape, generator=rng, dtype=torch.float64)
    return prediction, 2 * torch.randn(shape, generator=rng, dtype=torch.float64)


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


@SHAPES
def test_equal_to_torch_and_scikit_learn(shape: tuple[int, ...]) -> None:
    prediction, target = case(*shape)
    flat = target.flatten().numpy(), prediction.flatten().numpy()
    close(MSE()(prediction, target), mean_squared_error(*flat))
    close(MAE()(prediction, target), mean_absolute_error(*flat))
    for delta in (0.5, 1.0, 3.0):
        close(Huber(delta)(prediction, target), F.huber_loss(prediction, target, delta=delta))


def test_huber_lies_between_the_two_others() -> None:
    prediction, target = case(8, 3)
    close(2 * Huber(1e3)(prediction, target), MSE()(prediction, target))
    close(Huber(1e-8)(prediction, target) / 1e-8, MAE()(prediction, target))


def test_trap_unknown_numbers_dilute_nothing() -> None:
    prediction, target = torch.zeros(10, 1), torch.full((10, 1), math.nan)
    target[0] = 3
    assert [loss(prediction, target).item() for loss in (MSE(), MAE(), Huber())] == [9, 3, 2.5]


def test_each_number_may_be_missing_by_itself() -> None:
    prediction, target = case(8, 3)
    known = torch.rand(8, 3, generator=torch.Generator().manual_seed(1)) < 0.5
    close(MSE()(prediction, target.where(known, torch.nan)), F.mse_loss(prediction[known], target[known]))


def test_targets_too_large_for_their_sum_are_still_known() -> None:
    target = torch.full((4, 1), 3e38)
    assert MAE()(target.double(), target) == 0


@pytest.mark.parametrize("loss", [MSE(), MAE(), Huber()], ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (torch.zeros(8, 1), torch.zeros(8), r"prediction \(8, 1\) and target \(8,\) are not of one shape"),
        (torch.zeros(8), torch.zeros(8), r"are not of one shape \(N, C\)"),
        (torch.zeros(8, 1), torch.zeros(8, 1, dtype=torch.int64), r"target is torch\.int64; give floating-point"),
        (torch.zeros(8, 1, dtype=torch.int64), torch.zeros(8, 1), r"prediction is torch\.int64"),
        (torch.zeros(1, 1), torch.full((1, 1), -math.inf), "holds -inf; .* finite numbers and nan"),
    ],
)
def test_trap_silent_broadcasting_and_marks(loss: nn.Module, prediction: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        loss(prediction, target)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("delta", "message"), [(0, "delta = 0 would give every error the loss 0"), (-1, "outside")])
def test_bad_knobs_are_refused(delta: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Huber(delta)


def test_a_base_alone_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match="RegressionLoss needs `element`"):
        RegressionLoss()(torch.zeros(1, 1), torch.zeros(1, 1))
