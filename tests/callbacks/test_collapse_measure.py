"""What the watch measures, against a float64 loop and counts by hand; and that measuring changes nothing."""

import math

import pytest
import torch
from torch import Tensor, nn

from tandem.callbacks.collapse.measure import Predictions, SharedGramOfStep, shared_gram, shares_and_cosines
from tandem.tasks import TaskOutput
from tandem.tasks.kinds import kind_of


class TwoHeads(nn.Module):
    """A shared layer, a skip that only `b` uses, and a head for each of two tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 3, dtype=torch.float64)
        self.skip = nn.Linear(4, 3, dtype=torch.float64)
        self.heads = nn.ModuleDict({name: nn.Linear(3, 2, dtype=torch.float64) for name in "ab"})

    def losses(self, x: Tensor) -> dict[str, Tensor]:
        h = torch.tanh(self.shared(x))
        return {
            "a": self.heads["a"](h).square().mean(),
            "b": (self.heads["b"](h + self.skip(x)) - 1).square().mean(),
        }


@pytest.fixture
def network() -> TwoHeads:
    torch.manual_seed(0)
    return TwoHeads()


def test_the_gram_matrix_is_that_of_weighted_gradients_of_shared_parameters(network: TwoHeads) -> None:
    x = torch.randn(5, 4, dtype=torch.float64)
    losses = network.losses(x)
    gram = shared_gram(0.3 * losses["a"] + 2.0 * losses["b"], losses, list(network.parameters()))
    rows = []
    for name, weight in (("a", 0.3), ("b", 2.0)):
        found = torch.autograd.grad(weight * network.losses(x)[name], list(network.shared.parameters()))
        rows.append(torch.cat([gradient.flatten() for gradient in found]))
    by_hand = torch.stack(rows) @ torch.stack(rows).T
    assert torch.allclose(gram, by_hand, rtol=1e-12, atol=0)
    shares, cosines = shares_and_cosines(["a", "b"], gram)
    norms = [float(row.norm()) for row in rows]
    assert shares == pytest.approx({"a": norms[0] / sum(norms), "b": norms[1] / sum(norms)})
    cosine = torch.nn.functional.cosine_similarity(rows[0], rows[1], dim=0)
    assert cosines == {"a/b": pytest.approx(float(cosine))}


@pytest.mark.parametrize("left", ["a", "b"])
def test_the_gradient_that_the_step_leaves_gives_the_same_matrix(network: TwoHeads, left: str) -> None:
    """Also where one task alone reaches a parameter, whichever is left."""
    x, parameters = torch.randn(5, 4, dtype=torch.float64), list(network.parameters())
    losses = network.losses(x)
    total = 0.3 * losses["a"] + 2.0 * losses["b"]
    expected = shared_gram(total, losses, parameters)
    begun = SharedGramOfStep(total, losses, parameters, left)
    assert all(parameter.grad is None for parameter in parameters)
    total.backward()  # type: ignore[no-untyped-call]
    assert torch.allclose(begun.after_backward(), expected, rtol=1e-12, atol=0)


def test_a_parameter_that_some_tasks_reach_counts_for_them_alone(network: TwoHeads) -> None:
    """As where two masks share a decoder that a class does not use."""
    x = torch.randn(5, 4, dtype=torch.float64)

    def losses() -> dict[str, Tensor]:
        found = network.losses(x)
        return {**found, "c": (network.heads["a"](torch.tanh(network.shared(x)) + network.skip(x)) + 1).square().mean()}

    both = [*network.shared.parameters(), *network.skip.parameters()]
    found = losses()
    gram = shared_gram(sum(found.values(), torch.zeros(())), found, both)
    rows = []
    for name in "abc":
        gradients = torch.autograd.grad(losses()[name], both, allow_unused=True)
        rows.append(
            torch.cat(
                [torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(both, gradients, strict=True)]
            )
        )
    by_hand = torch.stack([row.double() for row in rows])
    assert torch.allclose(gram, by_hand @ by_hand.T, rtol=1e-12, atol=0)


def test_any_balance_has_the_weights_that_its_loss_gives_the_tasks(network: TwoHeads) -> None:
    x = torch.randn(5, 4, dtype=torch.float64)
    losses = network.losses(x)
    geometric = (losses["a"] * losses["b"]).sqrt()
    gram = shared_gram(geometric, losses, list(network.parameters()))
    fixed = {name: float(geometric.detach() / (2 * loss.detach())) for name, loss in losses.items()}
    again = network.losses(x)
    same = shared_gram(fixed["a"] * again["a"] + fixed["b"] * again["b"], again, list(network.parameters()))
    assert torch.allclose(gram, same, rtol=1e-12, atol=0)


def test_measuring_leaves_gradients_graph_and_random_numbers_alone(network: TwoHeads) -> None:
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.manual_seed(1)
    losses = network.losses(x)
    total = losses["a"] + losses["b"]
    shared_gram(total, losses, list(network.parameters()))
    assert all(parameter.grad is None for parameter in network.parameters())
    total.backward()  # type: ignore[no-untyped-call]
    found = [parameter.grad for parameter in network.parameters()]
    drawn = torch.rand(3)
    network.zero_grad()
    torch.manual_seed(1)
    again = network.losses(x)
    (again["a"] + again["b"]).backward()  # type: ignore[no-untyped-call]
    for before, parameter in zip(found, network.parameters(), strict=True):
        assert before is not None
        assert parameter.grad is not None
        assert torch.equal(before, parameter.grad)
    assert torch.equal(drawn, torch.rand(3))


def test_a_task_that_the_loss_leaves_out_has_no_share(network: TwoHeads) -> None:
    losses = network.losses(torch.randn(5, 4, dtype=torch.float64))
    gram = shared_gram(2 * losses["a"], losses, list(network.parameters()))
    shares, cosines = shares_and_cosines(["a", "b"], gram)
    assert shares == {"a": 1.0, "b": 0.0}
    assert cosines == {}
    assert shares_and_cosines(["a", "b"], torch.zeros(2, 2)) == ({}, {})


def output(logits: Tensor, target: Tensor, kind: str) -> TaskOutput:
    probabilities = torch.sigmoid(logits) if kind == "binary" else logits.softmax(1)
    ends = torch.stack([logits.amin(), logits.amax()])
    return TaskOutput(probabilities, target, {}, torch.arange(len(target)), ends, {})


def test_binary_shares_are_of_known_pixels_at_the_threshold_in_force() -> None:
    counts = Predictions(kind_of("binary", dense=True), ["nodule", "cyst"])
    logits = torch.tensor([[[[2.0, -2.0], [0.1, 5.0]], [[-1.0, -1.0], [-1.0, 3.0]]]])
    target = torch.tensor([[[[1, 0], [1, 255]], [[0, 0], [0, 1]]]])
    threshold = torch.tensor([0.6, 0.5])
    counts.update(output(logits, target, "binary"), threshold)
    counts.update(output(logits - 6, target, "binary"), threshold)
    seen = counts.predicted()
    assert seen.kind == "binary"
    assert seen.chosen == pytest.approx([1 / 6, 1 / 8])  # of channel 0 only 2.0 of three known passes, once
    assert seen.true == pytest.approx([2 / 3, 1 / 4])
    assert (seen.low, seen.high) == (-8.0, 5.0)
    assert seen.spread == pytest.approx(1 / (1 + math.exp(-5)) - 1 / (1 + math.exp(8)))


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_multiclass_shares_are_of_known_rows_or_pixels(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(7, 3, *shape)
    target = torch.randint(0, 3, (7, *shape))
    target[0] = -100
    target[1] = 255
    counts = Predictions(kind_of("multiclass", dense=bool(shape)), ["normal", "benign", "malignant"])
    for rows in (slice(0, 4), slice(4, 7)):
        counts.update(output(logits[rows], target[rows], "multiclass"), torch.tensor([0.5] * 3))
    known = (target != -100) & (target != 255)
    seen = counts.predicted()
    assert seen.true == pytest.approx([float((target[known] == k).float().mean()) for k in range(3)])
    assert seen.chosen == pytest.approx([float((logits.argmax(1)[known] == k).float().mean()) for k in range(3)])
    assert sum(seen.chosen) == pytest.approx(1)
