"""Retrieval metrics against a plain loop over pictures."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tandem.metrics import MeanAveragePrecisionAtR, PrecisionAt1


def oracle(places: Tensor, labels: Tensor) -> tuple[float, float]:
    """Precision at 1 and MAP@R, one picture and one rank at a time."""
    firsts, averages = [], []
    for query in range(len(labels)):
        others = [row for row in range(len(labels)) if row != query]
        wanted = sum(int(labels[row] == labels[query]) for row in others)
        if wanted == 0:
            continue
        others.sort(key=lambda row: -math.fsum((places[query].double() * places[row].double()).tolist()))
        hits = [bool(labels[row] == labels[query]) for row in others]
        firsts.append(float(hits[0]))
        averages.append(sum(sum(hits[: k + 1]) / (k + 1) for k in range(wanted) if hits[k]) / wanted)
    return sum(firsts) / len(firsts), sum(averages) / len(averages)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("batch", [1, 7, 40])
def test_both_equal_a_plain_loop_whatever_the_batch_size(seed: int, batch: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    places = F.normalize(torch.randn(40, 5, generator=generator), dim=1)
    labels = torch.randint(0, 4, (40,), generator=generator)
    metrics = PrecisionAt1(), MeanAveragePrecisionAtR()
    for metric in metrics:
        for start in range(0, 40, batch):
            metric.update(places[start : start + batch], labels[start : start + batch])
    assert [float(metric.compute()) for metric in metrics] == pytest.approx(oracle(places, labels), abs=1e-12)


def test_a_picture_alone_in_its_class_asks_nothing() -> None:
    places = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), dim=1)
    metric = PrecisionAt1()
    metric.update(places, torch.tensor([0, 0, 1]))
    assert float(metric.compute()) == 1.0


def test_where_everyone_is_alone_nothing_can_be_known() -> None:
    for metric in (PrecisionAt1(), MeanAveragePrecisionAtR()):
        metric.update(torch.eye(3), torch.tensor([0, 1, 2]))
        assert math.isnan(float(metric.compute()))
