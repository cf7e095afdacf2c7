"""The shared gradient against the papers' formulas, on whole gradient vectors in float64 and not from the code."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq, lsq_linear, minimize
from torch import nn

import tandem.balance
from tandem.balance.cagrad import conflict_averse
from tandem.balance.gradient_level import GradientBalance
from tandem.balance.gram import factor
from tandem.balance.mgda import shortest
from tandem.balance.nash import bargain
from tandem.errors import ConfigError

Array = NDArray[np.float64]


def pcgrad(rows: Array, weights: Array) -> Array:
    """Yu et al., Algorithm 1, with the orders that torch's generator gives."""
    total = np.zeros(rows.shape[1])
    for task, gradient in enumerate(rows):
        cut = gradient.copy()
        for other in torch.randperm(len(rows)).tolist():
            if other != task and cut @ rows[other] < 0:
                cut = cut - (cut @ rows[other]) / (rows[other] @ rows[other]) * rows[other]
        total += weights[task] * cut
    return total


def upgrad(rows: Array, weights: Array) -> Array:
    """Quinton and Rey, Proposition 1, by another solver and on whole vectors."""
    total = np.zeros(rows.shape[1])
    for weight, gradient in zip(weights, rows, strict=True):
        found = lsq_linear(rows.T, -gradient, bounds=(0, np.inf), method="bvls", tol=1e-15)
        total += weight * (gradient + rows.T @ found.x)
    return total


def aligned_mtl(rows: Array, weights: Array) -> Array:
    """Senushkin et al., by the singular values of the gradients themselves."""
    u, values, v = np.linalg.svd(rows, full_matrices=False)
    return np.asarray(weights @ (values.min() * u @ v))


def mgda(rows: Array, weights: Array) -> Array:
    """Sener and Koltun, Algorithm 1: two tasks in closed form."""
    one, two = rows
    part = np.clip((two - one) @ two / ((one - two) @ (one - two)), 0, 1)
    return np.asarray(2 * (weights[0] * part * one + weights[1] * (1 - part) * two))


def imtl_g(rows: Array, weights: Array) -> Array:
    """Liu et al., equation 6: `alpha_2..T = g_1 U^T (D U^T)^-1`."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    differences, angles = rows[:1] - rows[1:], units[:1] - units[1:]
    others = rows[0] @ angles.T @ np.linalg.inv(differences @ angles.T)
    return np.asarray(len(rows) * (weights * np.concatenate([[1 - others.sum()], others])) @ rows)


def nash(rows: Array, weights: Array) -> Array:
    """Navon et al. for two tasks of weight 1: the bisector of the two directions."""
    found = 1 / np.linalg.norm(rows, axis=1)
    return np.asarray(found @ rows * len(rows) / found.sum())


def cagrad(rows: Array, weights: Array) -> Array:
    """Liu et al., Algorithm 1 with c = 0.5, for two tasks: the zero of the dual's derivative on [0, 1]."""
    one, two = weights[:, None] * rows
    centre = one + two
    radius = 0.5 * np.linalg.norm(centre)

    def mixed(part: float) -> Array:
        return np.asarray(part * one + (1 - part) * two)

    def slope(part: float) -> float:
        length = np.linalg.norm(mixed(part))
        return float((one - two) @ centre + radius * mixed(part) @ (one - two) / length)

    part = 0.0 if slope(0.0) >= 0 else 1.0 if slope(1.0) <= 0 else brentq(slope, 0.0, 1.0, xtol=1e-16, rtol=1e-15)
    return np.asarray(centre + radius * mixed(part) / np.linalg.norm(mixed(part)))


FORMULAS: dict[str, Callable[[Array, Array], Array]] = {
    "PCGrad": pcgrad,
    "UPGrad": upgrad,
    "AlignedMTL": aligned_mtl,
    "MGDA": mgda,
    "IMTLG": imtl_g,
    "NashMTL": nash,
    "CAGrad": cagrad,
}
"""By the name of our class."""

ANY_NUMBER = ("PCGrad", "UPGrad", "AlignedMTL", "IMTLG")
"""Whose formulas hold for more than two tasks."""


def balanced(name: str, rows: Array, weights: Array, seed: int = 7, **options: Any) -> Array:
    """The gradient that a balance leaves in a shared parameter where the tasks' gradients are these rows."""
    tasks = tuple(f"task{index}" for index in range(len(rows)))
    balance = getattr(tandem.balance, name)(dict(zip(tasks, weights.tolist(), strict=True)), tasks, **options)
    assert isinstance(balance, GradientBalance)
    shared = nn.Parameter(torch.zeros(rows.shape[1], dtype=torch.float64))
    losses = {task: torch.from_numpy(row) @ shared + 1.0 for task, row in zip(tasks, rows, strict=True)}
    torch.manual_seed(seed)
    balance.backward(balance(losses), losses, [shared])
    assert shared.grad is not None
    return np.asarray(shared.grad.numpy())


def opposed(seed: int, tasks: int, length: int = 6) -> Array:
    """Gradients of different lengths, of which most pairs are in conflict."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(tasks, length))
    rows[1:] -= 0.7 * rows[0]
    return np.asarray(rows * rng.uniform(0.2, 3.0, (tasks, 1)))


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("seed", range(6))
def test_two_tasks_by_hand(name: str, seed: int) -> None:
    rows, weights = opposed(seed, 2), np.ones(2)
    assert np.abs(balanced(name, rows, weights) - FORMULAS[name](rows, weights)).max() <= 1e-10


@pytest.mark.parametrize("name", sorted(FORMULAS.keys() - {"NashMTL"}))
def test_the_fixed_weights_by_hand(name: str) -> None:
    rows, weights = opposed(3, 2), np.array([0.5, 3.0])
    assert np.abs(balanced(name, rows, weights) - FORMULAS[name](rows, weights)).max() <= 1e-10


@pytest.mark.parametrize("name", ANY_NUMBER)
@pytest.mark.parametrize("seed", range(4))
def test_four_tasks_by_hand(name: str, seed: int) -> None:
    rows, weights = opposed(seed, 4), np.array([1.0, 2.0, 0.5, 1.5])
    torch.manual_seed(7)
    expected = FORMULAS[name](rows, weights)
    assert np.abs(balanced(name, rows, weights) - expected).max() <= 1e-10 * max(1.0, np.abs(expected).max())


seeds = st.integers(0, 10_000)
counts = st.integers(2, 5)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, tasks=counts, length=st.integers(1, 6))
def test_the_shortest_vector_is_proved_by_its_angles(seed: int, tasks: int, length: int) -> None:
    rows = opposed(seed, tasks, length)
    found = shortest(rows @ rows.T)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    d = found @ rows
    assert (rows @ d >= d @ d - 1e-10 * np.abs(rows).max() ** 2).all(), "every gradient lies beyond it"


@settings(max_examples=60, deadline=None)
@given(seed=seeds, tasks=counts)
def test_no_loss_rises_under_upgrad(seed: int, tasks: int) -> None:
    rows = opposed(seed, tasks)
    assert (rows @ balanced("UPGrad", rows, np.ones(tasks)) >= -1e-9).all()


@settings(max_examples=60, deadline=None)
@given(seed=seeds, tasks=counts, c=st.floats(0.0, 0.95))
def test_cagrad_is_proved_by_its_dual(seed: int, tasks: int, c: float) -> None:
    """A point of the ball whose worst gain is the dual's value is the best one."""
    rows = opposed(seed, tasks)
    d, centre = balanced("CAGrad", rows, np.ones(tasks), c=c), rows.sum(axis=0)
    radius = c * float(np.linalg.norm(centre))
    assert np.linalg.norm(d - centre) <= radius + 1e-10
    root = factor(rows @ rows.T)
    dual = conflict_averse(root, root.sum(axis=1), radius)
    value = root @ dual @ root.sum(axis=1) + radius * np.linalg.norm(root @ dual)
    assert (rows @ d).min() == pytest.approx(value, abs=1e-9)


def test_cagrad_without_a_closed_form_of_its_own() -> None:
    rows = opposed(5, 3)
    centre = rows.sum(axis=0)
    radius = 0.5 * np.linalg.norm(centre)
    found = minimize(
        lambda x: -x[-1],
        np.append(centre, 0.0),
        constraints=[
            {"type": "ineq", "fun": lambda x: rows @ x[:-1] - x[-1]},
            {"type": "ineq", "fun": lambda x: radius**2 - ((x[:-1] - centre) ** 2).sum()},
        ],
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert np.abs(balanced("CAGrad", rows, np.ones(3)) - found.x[:-1]).max() <= 1e-5


@settings(max_examples=60, deadline=None)
@given(seed=seeds, tasks=counts)
def test_the_bargain_solves_its_equation(seed: int, tasks: int) -> None:
    rows, weights = opposed(seed, tasks), np.random.default_rng(seed).uniform(0.1, 4.0, tasks)
    found = bargain(rows @ rows.T, weights)
    assert found.min() > 0
    assert np.abs(rows @ rows.T @ found * found - weights).max() <= 1e-8  # of products of up to 1e4, added up
    given_ = balanced("NashMTL", rows, weights)
    assert np.abs(given_ - weights.sum() / found.sum() * found @ rows).max() <= 1e-9


@pytest.mark.parametrize("name", FORMULAS)
def test_orthogonal_gradients_of_one_length_are_added_up(name: str) -> None:
    rows = 3.0 * np.linalg.qr(np.random.default_rng(1).normal(size=(5, 3)))[0].T
    options: dict[str, Any] = {"c": 0.0} if name == "CAGrad" else {}
    assert np.abs(balanced(name, rows, np.ones(3), **options) - rows.sum(axis=0)).max() <= 1e-10


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("scale", [1e-6, 2.0**16])
def test_the_step_is_as_long_as_the_gradients(name: str, scale: float) -> None:
    """Peers take short gradients for 0 and stop there; half precision and accumulation scale them."""
    rows = opposed(2, 3)
    once, scaled = balanced(name, rows, np.ones(3)), balanced(name, scale * rows, np.ones(3))
    assert np.abs(scaled / scale - once).max() <= 1e-9


@pytest.mark.parametrize("name", sorted(FORMULAS.keys() - {"IMTLG"}))
def test_opposed_gradients_give_a_finite_step(name: str) -> None:
    rows = np.array([[1.0, 2.0], [-0.5, -1.0], [1.0, 2.0]])
    assert np.abs(balanced(name, rows, np.ones(3))).max() <= 10.0


def test_the_order_of_surgery_follows_from_the_seed() -> None:
    rows = opposed(1, 4)
    found = [balanced("PCGrad", rows, np.ones(4), seed) for seed in (1, 1, 2, 3, 4)]
    assert (found[0] == found[1]).all()
    assert any((found[0] != other).any() for other in found[2:])


@pytest.mark.parametrize("method", ["PCGrad", "IMTLG", "AlignedMTL", "MGDA"])
def test_torchjd_agrees(method: str) -> None:
    rows, weights = opposed(4, 2), np.ones(2)
    ours, theirs = balanced(method, rows, weights), balanced("TorchJD", rows, weights, method=method)
    factor_ = 1.0 if method == "PCGrad" else 2.0  # its steps are those of the mean
    assert np.abs(ours - factor_ * theirs).max() <= 1e-10


def test_torchjd_has_methods_that_we_have_not() -> None:
    rows, weights = np.diag([1.0, 4.0]), np.ones(2)
    found = balanced("TorchJD", rows, weights, method="FairGrad", options={"alpha": 1.0})
    assert found == pytest.approx([found[0], found[0]]), (
        "alpha = 1 is the bargain: equal projections on orthogonal ones"
    )


def test_torchjd_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(
        ConfigError, match=r"the balance TorchJD needs torchjd \(.*\); pip install 'tandem-mtl\[balance\]'"
    ):
        tandem.balance.TorchJD({"a": 1.0}, ("a",), "PCGrad")


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("PCGra", {}, "method 'PCGra' is not a weighting of TorchJD: did you mean 'PCGrad'"),
        ("GradVac", {}, "method GradVac has a state that is not in checkpoints"),
        ("FairGrad", {}, "method FairGrad: .*missing 1 required positional argument: 'alpha'"),
        ("MGDA", {"epsilon": -1.0}, "method MGDA: epsilon must be positive"),
    ],
)
def test_methods_of_torchjd_that_cannot_work(method: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tandem.balance.TorchJD({"a": 1.0}, ("a",), method, options)
