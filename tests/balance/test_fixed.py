"""The weighted sum of the tasks that have a target."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.balance import FixedWeights
from tandem.errors import ConfigError

TASKS = ("classification", "segmentation")


@settings(max_examples=30, deadline=None)
@given(
    weights=st.tuples(st.floats(0.125, 8, width=32), st.floats(0, 8, width=32)),
    losses=st.tuples(st.floats(-8, 8, width=32), st.floats(-8, 8, width=32)),
    present=st.sets(st.sampled_from(TASKS), min_size=1),
)
def test_the_sum_over_the_tasks_of_a_step(
    weights: tuple[float, float], losses: tuple[float, float], present: set[str]
) -> None:
    balance = FixedWeights(dict(zip(TASKS, weights, strict=True)), TASKS)
    values = {name: torch.tensor(loss) for name, loss in zip(TASKS, losses, strict=True) if name in present}
    expected = sum(weight * loss for name, weight, loss in zip(TASKS, weights, losses, strict=True) if name in present)
    found = balance(values)
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_gradient_is_the_weight() -> None:
    losses = {name: torch.tensor(2.0, requires_grad=True) for name in TASKS}
    FixedWeights({"classification": 0.5, "segmentation": 3}, TASKS)(losses).backward()
    assert {name: loss.grad.item() for name, loss in losses.items() if loss.grad is not None} == {
        "classification": 0.5,
        "segmentation": 3.0,
    }


def test_it_has_nothing_to_learn_or_to_keep() -> None:
    balance = FixedWeights(dict.fromkeys(TASKS, 1.0), TASKS)
    assert list(balance.parameters()) == []
    assert balance.state_dict() == {}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"classification": 1}, r"task 'segmentation' has no weight; give balance\.weights\.segmentation"),
        ({}, "task 'classification' has no weight"),
        (dict.fromkeys((*TASKS, "age"), 1), r"weights\.age is for no task of this run: classification, segmentation"),
        ({"classification": -0.1, "segmentation": 1}, r"weights\.classification is -0\.1, but must be a number of at"),
        ({"classification": float("nan"), "segmentation": 1}, r"weights\.classification is nan"),
        ({"classification": 1, "segmentation": float("inf")}, r"weights\.segmentation is inf"),
        ({"classification": 0, "segmentation": 0.0}, "every balance.weights is 0"),
    ],
)
def test_weights_that_cannot_work_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FixedWeights(weights, TASKS)


def test_one_weight_may_be_0() -> None:
    balance = FixedWeights({"classification": 0, "segmentation": 1}, TASKS)
    assert balance({"classification": torch.tensor(5.0)}).item() == 0.0
