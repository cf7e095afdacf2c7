"""Curves from histograms, against exact ones of scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tandem.metrics import BinnedAUROC, BinnedAveragePrecision, BinnedCalibrationError, zoom


def case(seed: int, count: int = 4000, share: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities that pile up near 0, as pixels do, and targets with some missing."""
    rng = np.random.default_rng(seed)
    target = rng.random(count) < share
    logits = rng.normal(-6 + 4 * target, 2)
    probabilities = torch.from_numpy(1 / (1 + np.exp(-logits))).float()
    labels = torch.from_numpy(target.astype(np.uint8))
    labels[rng.random(count) < 0.1] = 255
    return probabilities, labels


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=50))
@settings(max_examples=100, deadline=None)
def test_keys_and_cells_rise_with_the_probability(values: list[float]) -> None:
    keys = zoom.keys(torch.tensor(sorted(values)))
    cells = zoom.cells(keys)
    assert (keys.diff() >= 0).all()
    assert (cells.diff() >= 0).all()
    assert cells.min() >= 0
    assert cells.max() < zoom.NAN


def test_cells_reach_from_0_to_1() -> None:
    assert zoom.cells(zoom.keys(torch.tensor([0.0, 1.0]))).tolist() == [0, zoom.NAN - 1]


def adversarial() -> dict[str, torch.Tensor]:
    """Probabilities of which bins of a fixed width lose the order."""
    rng = np.random.default_rng(0)
    count = 6000

    def made(values: object) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values)).float()

    narrow = rng.uniform(0.300, 0.302, count)
    return {
        "one narrow band": made(narrow),
        "narrower": made(rng.uniform(0.3, 0.30001, count)),
        "a band and outliers": made(np.where(np.arange(count) < 50, rng.random(count), narrow)),
        "half in a band": made(np.where(np.arange(count) % 2, rng.random(count), narrow)),
        "ties": made(rng.choice([0.1, 0.3, 0.30000001, 0.9], count)),
        "one value": made(np.full(count, 0.3)),
        "tiny": made(10 ** rng.uniform(-30, -9, count)),
        "near 1": made(1 - 10 ** rng.uniform(-7, -5, count)),
        "extreme logits": torch.sigmoid(made(rng.normal(0, 60, count))),
        "half precision": torch.sigmoid(made(rng.normal(0, 8, count)).half()).float(),
        "usual": made(1 / (1 + np.exp(-rng.normal(-4, 2, count)))),
    }


@pytest.mark.parametrize("name", adversarial())
def test_the_error_stays_within_its_bound_which_is_small(name: str) -> None:
    p = adversarial()[name]
    rank = p.double().argsort().argsort().double() / len(p)
    target = (torch.rand(len(p), generator=torch.Generator().manual_seed(1)) < 0.1 + 0.3 * rank).long()
    for metric, oracle in ((BinnedAUROC(), roc_auc_score), (BinnedAveragePrecision(), average_precision_score)):
        metric.update(p[:, None], target[:, None])
        exact = oracle(target.numpy(), p.double().numpy())
        error, bound = abs(float(metric.compute()) - exact), float(metric.error_bound())
        assert error <= bound + 1e-6
        assert error < 0.005
        if name in ("one narrow band", "narrower", "usual"):  # elsewhere true ties are in the bound too, or wide cells
            assert bound < (0.02 if isinstance(metric, BinnedAUROC) else 0.1)


def test_neither_batches_nor_their_order_nor_processes_change_a_bit() -> None:
    p, target = (tensor.view(100, 1, 40) for tensor in case(3))
    p[:50] = 0.3 + p[:50] / 1000
    whole = zoom.counted(p, target)
    for size in (13, 50):
        parts = [zoom.counted(p[i : i + size], target[i : i + size]) for i in range(0, 100, size)]
        assert zoom.merged(torch.stack(parts)).equal(whole)
        state = zoom.empty(1)
        for part in reversed(parts):
            state = zoom.merged(torch.stack([state, part]))
        assert state.equal(whole)


@pytest.mark.parametrize("metric", [BinnedAUROC, BinnedAveragePrecision])
def test_nan_makes_the_area_nan_unless_its_target_is_missing(metric: type[BinnedAUROC]) -> None:
    made = metric()
    made.update(torch.tensor([[0.9], [0.1], [torch.nan]]), torch.tensor([[1], [0], [255]]))
    assert float(made.compute()) == 1.0
    made.update(torch.tensor([[torch.nan]]), torch.tensor([[0]]))
    assert math.isnan(made.compute())


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_those_of_scikit_learn(seed: int) -> None:
    probabilities, target = case(seed)
    auroc, precision = BinnedAUROC(), BinnedAveragePrecision()
    for metric in (auroc, precision):
        metric.update(probabilities.view(10, 1, 20, 20), target.view(10, 1, 20, 20))
    known = target != 255
    truth, p = target[known].numpy(), probabilities[known].numpy()
    assert float(auroc.compute()) == pytest.approx(roc_auc_score(truth, p), abs=1e-4)
    assert float(precision.compute()) == pytest.approx(average_precision_score(truth, p), abs=5e-3)


@pytest.mark.parametrize("metric", [BinnedAUROC, BinnedAveragePrecision, BinnedCalibrationError])
@pytest.mark.parametrize("batch", [17, 100])
def test_batches_do_not_matter(metric: type[BinnedAUROC], batch: int) -> None:
    probabilities, target = (tensor.view(100, 1, 8, 5) for tensor in case(1))
    whole, parts = metric(), metric()
    whole.update(probabilities, target)
    for start in range(0, 100, batch):
        parts.update(probabilities[start : start + batch], target[start : start + batch])
    assert float(parts.compute()) == pytest.approx(float(whole.compute()), abs=1e-7)


def test_each_question_has_its_own_area() -> None:
    probabilities = torch.tensor([[0.9, 0.9], [0.1, 0.1]])
    metric = BinnedAUROC()
    metric.for_channels(2)
    metric.update(probabilities, torch.tensor([[1, 0], [0, 1]]))
    assert metric.compute().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("target", [0, 1, 255])
def test_one_sided_targets_have_no_area(target: int) -> None:
    metric = BinnedAUROC()
    metric.update(torch.rand(5, 1), torch.full((5, 1), target))
    assert math.isnan(metric.compute())


def test_no_positives_have_no_average_precision() -> None:
    metric = BinnedAveragePrecision()
    metric.update(torch.rand(5, 1), torch.zeros(5, 1))
    assert math.isnan(metric.compute())
