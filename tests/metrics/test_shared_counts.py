"""Metrics that count the same count it once, and compute what each would alone."""

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from tandem.metrics import BinnedAUROC, BinnedAveragePrecision, BinnedCalibrationError, ClassScore, LesionDetection
from tandem.metrics.shared_counts import first_of_each, take_counts


class Doubled(BinnedAUROC):
    """Counts each batch twice."""

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        super().update(probabilities, target)
        super().update(probabilities, target)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"a": BinnedAUROC(), "b": BinnedAveragePrecision(), "c": BinnedCalibrationError()}, "aac"),
        ({"a": BinnedAUROC(), "b": Doubled()}, "ab"),
        ({"a": ClassScore(3, "recall"), "b": ClassScore(3, "f1"), "c": ClassScore(4, "f1")}, "aac"),
        ({"a": ClassScore(3, "recall"), "b": ClassScore(3, "f1", ignore_index=255)}, "ab"),
        ({"a": LesionDetection("recall"), "b": LesionDetection("precision"), "c": LesionDetection(overlap=0.5)}, "aac"),
    ],
)
def test_which_metrics_count_alike(metrics: dict[str, Metric], expected: str) -> None:
    assert "".join(first_of_each(metrics).values()) == expected


def test_a_metric_with_other_channels_counts_for_itself() -> None:
    one, three = BinnedAUROC(), BinnedAUROC()
    three.for_channels(3)
    assert first_of_each({"a": one, "b": three}) == {"a": "a", "b": "b"}


def test_the_value_is_that_of_a_metric_that_counted() -> None:
    probabilities, target = torch.rand(50, 1), torch.randint(0, 2, (50, 1))
    counted, alone, taken = BinnedAUROC(), BinnedAveragePrecision(), BinnedAveragePrecision()
    for metric in (counted, alone):
        metric.update(probabilities, target)
    take_counts(taken, counted)
    assert torch.equal(taken.compute(), alone.compute())
    taken.reset()
    assert counted.update_called, "resetting one leaves the other"
    assert torch.equal(counted.state, alone.state)
