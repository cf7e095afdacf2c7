"""Losses on pairs and triplets: loops and torch as oracles, degenerate batches, and traps by name."""

import math
import sys
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tandem.errors import ConfigError, DataError
from tandem.losses import EmbeddingLoss
from tandem.losses.embedding import Contrastive, SupCon, Triplet

kernels = pytest.importorskip("pytorch_metric_learning.losses")

LOSSES = [Contrastive(), Triplet(), SupCon()]
EACH = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


def case(rows: int = 9, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 4, generator=rng, dtype=torch.float64), torch.randint(0, 3, (rows,), generator=rng)


def close(found: Tensor, expected: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-6, rtol=1e-6)


def mean(costs: list[float]) -> float:
    costs = [cost for cost in costs if cost > 0]
    return sum(costs) / max(len(costs), 1)


@pytest.mark.parametrize("seed", range(3))
def test_contrastive_equals_a_loop(seed: int) -> None:
    embeddings, labels = case(seed=seed)
    unit = F.normalize(embeddings)
    same, other = [], []
    for i, j in product(range(9), repeat=2):
        distance = (unit[i] - unit[j]).norm().item()
        if i != j and labels[i] == labels[j]:
            same.append(distance - 0.2)
        elif i != j:
            other.append(1.3 - distance)
    close(Contrastive(pos_margin=0.2, neg_margin=1.3)(embeddings, labels), mean(same) + mean(other))


@pytest.mark.parametrize("seed", range(3))
def test_triplet_equals_torch(seed: int) -> None:
    embeddings, labels = case(seed=seed)
    unit = F.normalize(embeddings)
    costs = [
        F.triplet_margin_loss(unit[[a]], unit[[p]], unit[[n]], margin=0.2, eps=0).item()
        for a, p, n in product(range(9), repeat=3)
        if a != p and labels[a] == labels[p] and labels[a] != labels[n]
    ]
    close(Triplet(margin=0.2)(embeddings, labels), mean(costs))


@pytest.mark.parametrize("seed", range(3))
def test_supcon_equals_a_loop(seed: int) -> None:
    embeddings, labels = case(seed=seed)
    cosine = (F.normalize(embeddings) @ F.normalize(embeddings).T / 0.1).tolist()
    costs = []
    for a in range(9):
        others = math.log(sum(math.exp(cosine[a][k]) for k in range(9) if k != a))
        own = [others - cosine[a][p] for p in range(9) if p != a and labels[p] == labels[a]]
        if own:
            costs.append(sum(own) / len(own))
    close(SupCon(temperature=0.1)(embeddings, labels), sum(costs) / len(costs))


@EACH
def test_length_of_embeddings_does_not_matter(loss: nn.Module) -> None:
    embeddings, labels = case()
    lengths = torch.arange(1.0, 10.0, dtype=torch.float64)[:, None]
    close(loss(lengths * embeddings, labels), loss(embeddings, labels))


@EACH
@pytest.mark.parametrize(
    "labels", [[], [0], [0, 1], [0, 0, 0], [0, 1, 2], [-100, -100], [-100, 3, -100], [0, 0]], ids=str
)
def test_degenerate_batches_give_a_finite_value_on_the_graph(loss: nn.Module, labels: list[int]) -> None:
    embeddings = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = loss(embeddings, torch.tensor(labels, dtype=torch.int64))
    value.backward()
    assert value.isfinite()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
    if isinstance(loss, Triplet | SupCon) or len(labels) < 2 or -100 in labels:
        assert value == 0
        assert (embeddings.grad == 0).all()


@EACH
def test_collapsed_embeddings_have_finite_gradients(loss: nn.Module) -> None:
    for value in (0.0, 1.0):
        embeddings = torch.full((6, 4), value, requires_grad=True)
        loss(embeddings, torch.arange(6) % 2).backward()
        assert embeddings.grad is not None
        assert embeddings.grad.isfinite().all()


@pytest.mark.parametrize(("loss", "name"), [(Contrastive(), "ContrastiveLoss"), (Triplet(), "TripletMarginLoss")])
def test_trap_nan_embeddings_that_cost_nothing(loss: nn.Module, name: str) -> None:
    embeddings, labels = case()
    embeddings[0] = math.nan
    assert getattr(kernels, name)()(embeddings, labels).isfinite()  # the mean over what is above 0 drops it
    assert loss(embeddings, labels).isnan()


@EACH
@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (torch.zeros(8, 4), torch.zeros(8, 1, dtype=torch.int64), r"need labels \(8,\), not \(8, 1\)"),
        (torch.zeros(8, 4, 2, 2), torch.zeros(8, dtype=torch.int64), r"give floating-point \(N, D\)"),
        (torch.zeros(8, 4), torch.zeros(8), r"labels are torch\.float32; give integers"),
        (torch.zeros(2, 4), torch.tensor([0, -1]), "holds -1; .* 0 and above and -100"),
    ],
)
def test_bad_input_is_refused(loss: nn.Module, embeddings: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        loss(embeddings, labels)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("build", "knobs", "message"),
    [
        (Contrastive, {"pos_margin": -1}, r"pos_margin = -1 is outside \[0, 2\]"),
        (Contrastive, {"neg_margin": 0}, "neg_margin = 0 would push no classes apart"),
        (Triplet, {"margin": 0}, "margin = 0 would be met by embeddings that are all the same"),
        (SupCon, {"temperature": 0}, "temperature = 0 would divide by 0"),
    ],
)
def test_bad_knobs_are_refused(build: type[nn.Module], knobs: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**knobs)


@pytest.mark.parametrize("build", [Contrastive, Triplet, SupCon])
def test_without_the_library_the_mend_is_named(build: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    mend = r"loss needs pytorch_metric_learning .*; pip install 'tandem-mtl\[embedding\]'"
    with pytest.raises(ConfigError, match=mend) as refusal:
        build()
    assert "\n" not in str(refusal.value)


def test_a_base_alone_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match="EmbeddingLoss needs `compute`"):
        EmbeddingLoss()(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64))
