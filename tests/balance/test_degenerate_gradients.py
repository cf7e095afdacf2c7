"""Parallel, opposite, vanishing and very unequal gradients in float32: directions and lengths that follow by hand."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from tandem.balance import IMTLG, MGDA, AlignedMTL, CAGrad, NashMTL, PCGrad, TorchJD, UPGrad
from tandem.balance.gradient_level import GradientBalance
from tandem.errors import ConfigError

Make = Callable[[Mapping[str, float], tuple[str, ...]], GradientBalance]
HARMONIC = 9 / (1 + 1 / 2 + 1 / 0.3)
"""Three times the harmonic mean of the lengths 1, 2 and 0.3."""
METHODS: dict[str, Make] = {m.__name__: m for m in (AlignedMTL, CAGrad, IMTLG, MGDA, NashMTL, PCGrad, UPGrad)}


def step(make: Make, rows: Tensor, factor: float = 1.0) -> Tensor:
    """The step for the losses `<g_t, x>`, whose gradients are the rows."""
    names = tuple("abcdef"[: len(rows)])
    x = torch.zeros(rows.shape[1], dtype=rows.dtype, requires_grad=True)
    losses = {name: (x * row).sum() for name, row in zip(names, rows, strict=True)}
    balance = make(dict.fromkeys(names, 1.0), names)
    balance.backward(factor * balance(losses), losses, [x])  # type: ignore[list-item]
    assert x.grad is not None
    return x.grad


def drawn(seed: int, rows: int = 1, size: int = 1000) -> Tensor:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", ["AlignedMTL", "UPGrad", "PCGrad"])
@pytest.mark.parametrize("seed", range(20))
def test_parallel_gradients_are_added_up(method: str, seed: int) -> None:
    (g,) = drawn(seed)
    torch.testing.assert_close(step(METHODS[method], torch.stack([g, 6.557 * g])), 7.557 * g, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "length"),
    [("AlignedMTL", 3.3), ("CAGrad", 4.95), ("IMTLG", HARMONIC), ("MGDA", 0.9), ("NashMTL", HARMONIC)],
)
def test_three_parallel_gradients(method: str, length: float) -> None:
    (g,) = drawn(1)
    torch.testing.assert_close(
        step(METHODS[method], torch.stack([g, 2 * g, 0.3 * g])), length * g, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("seed", range(3))
def test_equal_and_opposite_gradients_cancel(method: str, seed: int) -> None:
    (g,) = drawn(seed)
    assert step(METHODS[method], torch.stack([g, -g])).norm() < 1e-4 * g.norm()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_zero_gradient_takes_no_part(method: str) -> None:
    (g,) = drawn(2)
    torch.testing.assert_close(step(METHODS[method], torch.stack([g, 0 * g])), g)


@pytest.mark.parametrize("length", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("seed", range(3))
def test_aligned_gradients_of_unequal_lengths_follow_their_definition(length: float, seed: int) -> None:
    """Against the singular value decomposition in float64: all singular values become the least."""
    rows = drawn(seed, 2) * torch.tensor([[1.0], [length]])
    left, values, right = np.linalg.svd(rows.double().numpy(), full_matrices=False)
    expected = values.min() * (left @ right).sum(axis=0)
    np.testing.assert_allclose(step(AlignedMTL, rows).numpy(), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("length", [1e-2, 1e-4])
def test_the_shortest_vector_between_unequal_gradients(length: float) -> None:
    rows = (drawn(4, 2) * torch.tensor([[1.0], [length]])).double()
    difference = rows[0] - rows[1]
    share = float((-(rows[1] @ difference) / (difference @ difference)).clamp(0, 1))
    expected = 2 * (rows[1] + share * difference)
    torch.testing.assert_close(step(MGDA, rows.float()).double(), expected, rtol=1e-3, atol=1e-3 * length)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 30.0])
@pytest.mark.parametrize("method", ["FairGrad", "MGDA", "IMTLG", "AlignedMTL", "Mean"])
def test_lengths_are_those_of_torchjd(method: str, scale: float) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    options = {"alpha": 2.0} if method == "FairGrad" else {}
    rows = scale * drawn(5, 2, 50)
    expected = getattr(aggregation, method)(**options)(rows)

    def make(weights: Mapping[str, float], tasks: tuple[str, ...]) -> GradientBalance:
        return TorchJD(weights, tasks, method, options)

    torch.testing.assert_close(step(make, rows), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    scaled = step(make, rows, factor=1024.0)  # half precision's factor is no part of the scale
    torch.testing.assert_close(scaled, 1024 * step(make, rows), rtol=1e-3, atol=1.0)


def test_too_few_tasks_for_a_method_are_refused_before_training() -> None:
    pytest.importorskip("torchjd.aggregation")
    with pytest.raises(ConfigError, match="method Krum cannot combine 2 tasks"):
        TorchJD({"a": 1.0, "b": 1.0}, ("a", "b"), "Krum", {"n_byzantine": 1})


def test_a_trial_draws_no_random_number() -> None:
    pytest.importorskip("torchjd.aggregation")
    before = torch.get_rng_state()
    TorchJD({"a": 1.0, "b": 1.0}, ("a", "b"), "PCGrad")
    assert before.equal(torch.get_rng_state())
