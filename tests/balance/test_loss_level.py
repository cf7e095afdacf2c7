"""Balances at the level of losses, against TorchJD and by hand."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torchjd import scalarization

from tandem.balance import DWA, FAMO, RLW, Balance, FixedWeights, Geometric, Uncertainty
from tandem.errors import ConfigError

TASKS = ("a", "b", "c")
LEVEL: list[type[Balance]] = [Uncertainty, DWA, RLW, Geometric, FAMO]
every = pytest.mark.parametrize("method", [FixedWeights, *LEVEL], ids=lambda method: method.__name__)


def of(method: type[Balance], weights: tuple[float, ...] = (1.0, 1.0, 1.0), **options: Any) -> Balance:
    return method(dict(zip(TASKS, weights, strict=True)), TASKS, **options)


def some(*values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value, requires_grad=True) for name, value in zip(TASKS, values, strict=False)}


def pulls(balance: Balance, losses: Mapping[str, Tensor]) -> list[float]:
    """The gradient that each loss gets."""
    loss = balance(losses)
    balance.backward(loss, losses, list(balance.parameters()))
    return [loss.grad.item() for loss in losses.values() if loss.grad is not None]


@every
def test_one_task_alone_has_its_own_gradient(method: type[Balance]) -> None:
    for weight in (1.0, 2.5):
        assert pulls(of(method, (weight, 1.0, 1.0)), some(3.0)) == pytest.approx(
            [1.0 if method is Geometric else weight]
        )


@every
def test_in_evaluation_it_is_the_fixed_sum(method: type[Balance]) -> None:
    balance = of(method, (1.0, 2.0, 0.5)).eval()
    before = {name: value.clone() for name, value in balance.state_dict().items()}
    torch.manual_seed(0)
    drawn = torch.get_rng_state()
    assert balance(some(1.0, 2.0, 4.0)).item() == 7.0
    assert balance.weighted_sum(some(-1.0, 2.0)).item() == 3.0
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.allclose(value, before[name], equal_nan=True) for name, value in balance.state_dict().items())
    assert balance.effective == {}


@every
def test_what_the_scalar_s_gradient_is_is_logged(method: type[Balance]) -> None:
    balance = of(method, (1.0, 2.0, 0.5))
    found = pulls(balance, some(1.0, 2.0, 4.0))
    if method is FixedWeights:
        assert balance.effective == {}
    else:
        assert [float(weight) for weight in balance.effective.values()] == pytest.approx(found)


@every
def test_a_task_without_weight_is_left_out(method: type[Balance]) -> None:
    losses = some(1.0, 2.0, 4.0)
    torch.manual_seed(0)
    found = pulls(of(method, (1.0, 0.0, 1.0)), losses)
    assert losses["b"].grad is None
    torch.manual_seed(0)
    rest = {name: value for name, value in some(1.0, 2.0, 4.0).items() if name != "b"}
    assert found == pytest.approx(pulls(of(method), rest))


@every
def test_a_step_of_tasks_without_weight_is_0(method: type[Balance]) -> None:
    assert pulls(of(method, (0.0, 1.0, 1.0)), some(3.0)) == [0.0]


def test_uncertainty_is_torchjd_s_up_to_a_shift() -> None:
    """Its form for regression has the same gradients where each log-variance is larger by log 2."""
    ours, theirs = of(Uncertainty), scalarization.UW(3)
    with torch.no_grad():
        for index, value in enumerate((0.3, -1.0, 2.0)):
            ours.get_parameter(f"log_variance_{TASKS[index]}").fill_(value)
            theirs.log_var[index] = value - math.log(2)
    values = torch.tensor([1.0, 0.2, 5.0], requires_grad=True)
    theirs(values).backward()  # type: ignore[no-untyped-call]
    losses = some(1.0, 0.2, 5.0)
    assert pulls(ours, losses) == pytest.approx(values.grad.tolist() if values.grad is not None else None)
    found = [ours.get_parameter(f"log_variance_{name}").grad.item() for name in TASKS]  # type: ignore[union-attr]
    assert theirs.log_var.grad is not None
    assert found == pytest.approx(theirs.log_var.grad.tolist())


def test_uncertainty_finds_the_inverse_of_each_loss() -> None:
    balance = of(Uncertainty, (1.0, 3.0, 0.5))
    optimizer = torch.optim.SGD(balance.parameters(), lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        balance(some(4.0, 0.5, 1.0)).backward()
        optimizer.step()
    assert [balance.get_parameter(f"log_variance_{name}").exp().item() for name in TASKS] == pytest.approx(
        [8.0, 1.0, 2.0], rel=1e-4
    )


def test_the_log_variance_of_an_absent_task_does_not_drift() -> None:
    """Not by decay, and not by the momentum of steps in which it was present."""
    balance = of(Uncertainty)
    assert all(parameter.ndim == 0 for parameter in balance.parameters()), "which weight decay leaves alone"
    optimizer = torch.optim.AdamW(balance.parameters(), lr=0.1, weight_decay=0.5)

    def step(*values: float) -> None:
        optimizer.zero_grad()
        balance(some(*values)).backward()
        optimizer.step()

    step(2.0, 3.0, 4.0)
    before = balance.get_parameter("log_variance_c").clone()
    for _ in range(20):
        step(2.0, 3.0)
    assert torch.equal(balance.get_parameter("log_variance_c"), before)
    assert balance.get_parameter("log_variance_a").item() != 0.0


def test_dwa_is_torchjd_s() -> None:
    ours, theirs = of(DWA, temperature=1.5), scalarization.DWA(temperature=1.5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        means = torch.zeros(3)
        for _ in range(4):
            values = torch.rand(3, generator=generator) + 0.1
            means += values / 4
            assert ours(dict(zip(TASKS, values, strict=True))).item() == pytest.approx(theirs(values).item(), rel=1e-5)
        ours.on_epoch_end(dict(zip(TASKS, means, strict=True)))
        theirs.step()


def test_dwa_keeps_the_history_of_an_absent_task() -> None:
    balance = of(DWA)
    assert pulls(balance, some(1.0, 1.0, 1.0)) == [1.0, 1.0, 1.0]
    for values in ((4.0, 4.0, 4.0), (2.0, 4.0, 1.0), (2.0, 4.0), ()):
        balance.on_epoch_end(some(*values))
    rates = torch.tensor([2.0 / 2.0, 4.0 / 4.0, 1.0 / 4.0])
    assert pulls(balance, some(1.0, 1.0, 1.0)) == pytest.approx((3 * torch.softmax(rates / 2, 0)).tolist())
    assert pulls(balance, some(1.0, 1.0)) == pytest.approx([1.0, 1.0]), "over the tasks of the step"


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_dwa_takes_no_rate_from_losses_that_have_none(bad: float) -> None:
    balance = of(DWA)
    for value in (bad, 1.0):
        balance.on_epoch_end(some(value, 1.0, 1.0))
    assert pulls(balance, some(1.0, 1.0, 1.0))[1] == pytest.approx(1.0, abs=0.3)


def test_rlw_draws_weights_that_are_1_on_average() -> None:
    balance = of(RLW, (1.0, 2.0, 1.0))
    torch.manual_seed(0)
    drawn = torch.tensor([pulls(balance, some(1.0, 1.0, 1.0)) for _ in range(3000)])
    assert (drawn / torch.tensor([1.0, 2.0, 1.0])).sum(dim=1).tolist() == pytest.approx([3.0] * 3000, rel=1e-5)
    assert drawn.mean(dim=0).tolist() == pytest.approx([1.0, 2.0, 1.0], rel=0.05)
    torch.manual_seed(0)
    assert pulls(balance, some(1.0, 1.0, 1.0)) == drawn[0].tolist()


def test_rlw_is_torchjd_s_times_the_number_of_tasks() -> None:
    torch.manual_seed(3)
    ours = of(RLW)(some(1.0, 2.0, 4.0)).item()
    torch.manual_seed(3)
    assert ours == pytest.approx(3 * scalarization.Random()(torch.tensor([1.0, 2.0, 4.0])).item())


def test_the_geometric_mean_is_torchjd_s() -> None:
    values = torch.tensor([2.0, 0.3, 7.0], requires_grad=True)
    mean = scalarization.GeometricMean()(values)
    mean.backward()  # type: ignore[no-untyped-call]
    balance, losses = of(Geometric), some(2.0, 0.3, 7.0)
    assert balance(losses).item() == pytest.approx(mean.item())
    assert values.grad is not None
    assert pulls(balance, losses) == pytest.approx(values.grad.tolist())


def test_the_fixed_weights_are_exponents_of_the_geometric_mean() -> None:
    assert of(Geometric, (3.0, 1.0, 1.0))(some(2.0, 32.0)).item() == pytest.approx((2.0**3 * 32.0) ** 0.25)


def test_famo_is_torchjd_s_times_the_number_of_tasks() -> None:
    ours, theirs = of(FAMO), scalarization.FAMO(3)
    assert isinstance(ours, FAMO)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        before, after = torch.rand(2, 3, generator=generator) + 0.1
        values = before.clone().requires_grad_()
        theirs(values).backward()  # type: ignore[no-untyped-call]
        assert values.grad is not None
        assert pulls(ours, some(*before.tolist())) == pytest.approx((3 * values.grad).tolist(), rel=1e-5)
        ours.after_step(lambda after=after: dict(zip(TASKS, after, strict=True)))  # type: ignore[misc]
        theirs.update(after)
    assert ours.state[0].tolist() == pytest.approx(theirs._w.tolist(), rel=1e-4)


def test_famo_leaves_an_absent_task_as_it_was() -> None:
    balance = of(FAMO)
    assert isinstance(balance, FAMO)
    balance(some(1.0, 2.0, 3.0))
    balance.after_step(lambda: some(0.5, 2.0, 2.0))
    before = balance.state.clone()
    balance(some(1.0, 2.0))
    balance.after_step(lambda: some(0.5, 2.0))
    assert torch.equal(balance.state[:, 2], before[:, 2])
    assert not torch.equal(balance.state[:, :2], before[:, :2])
    assert balance.steps.tolist() == [2.0, 2.0, 1.0]


def test_famo_computes_no_batch_again_without_need() -> None:
    def never() -> dict[str, Tensor]:
        raise AssertionError

    balance = of(FAMO)
    balance.after_step(never)  # no batch had a target
    balance(some(1.0))
    balance.after_step(never)  # one task has no other to be weighed against


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        (Geometric, (1.0, 0.0), "Geometric takes logarithms and needs losses above 0, but that of task 'b' is 0;"),
        (Geometric, (-0.5, 1.0), "task 'a' is -0.5; choose another loss for it, or balance=fixed"),
        (FAMO, (1.0, -2.0), "FAMO takes logarithms and needs losses of at least 0, but that of task 'b' is -2"),
    ],
)
def test_losses_without_a_logarithm_are_refused(method: type[Balance], values: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of(method)(some(*values))


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (DWA, {"temperature": 0.0}, r"temperature is 0\.0, but must be a number above 0"),
        (DWA, {"temperature": math.nan}, "temperature is nan"),
        (FAMO, {"lr": -1.0}, r"lr is -1\.0, but must be a number of at least 0"),
        (FAMO, {"weight_decay": math.inf}, "weight_decay is inf"),
    ],
)
def test_options_out_of_range(method: type[Balance], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of(method, **options)
