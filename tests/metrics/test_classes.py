"""Scores by class, against scikit-learn; an absent class is nan."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from tandem.errors import ConfigError
from tandem.metrics import ClassAUROC, ClassAveragePrecision, ClassScore


def case(classes: int = 4, present: int = 4, count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(classes + present)
    target = torch.from_numpy(rng.integers(0, present, count))
    logits = torch.from_numpy(rng.normal(size=(count, classes)))
    logits[torch.arange(count), target] += 1
    return logits.softmax(1).float(), target


@pytest.mark.parametrize("average", ["none", "macro", "weighted"])
@pytest.mark.parametrize(
    ("score", "oracle"), [("recall", recall_score), ("precision", precision_score), ("f1", f1_score)]
)
def test_scores_are_those_of_scikit_learn(score: str, oracle: object, average: str) -> None:
    p, target = case()
    metric = ClassScore(num_classes=4, score=score, average=average)  # type: ignore[arg-type]
    for start in range(0, 60, 13):
        metric.update(p[start : start + 13], target[start : start + 13])
    expected = oracle(target.numpy(), p.argmax(1).numpy(), average=None if average == "none" else average)  # type: ignore[operator]
    np.testing.assert_allclose(metric.compute().numpy(), expected, atol=1e-6)


def test_macro_recall_is_the_balanced_accuracy() -> None:
    p, target = case()
    metric = ClassScore(num_classes=4, score="recall", average="macro")
    metric.update(p, target)
    assert float(metric.compute()) == pytest.approx(balanced_accuracy_score(target.numpy(), p.argmax(1).numpy()))


def test_specificity_is_the_recall_of_the_rest() -> None:
    p, target = case(3, 3)
    metric = ClassScore(num_classes=3, score="specificity")
    metric.update(p, target)
    answer = p.argmax(1)
    expected = [float((answer[target != index] != index).double().mean()) for index in range(3)]
    np.testing.assert_allclose(metric.compute().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("score", ["recall", "precision", "f1", "specificity"])
def test_an_absent_class_is_nan_and_drags_no_mean_down(score: str) -> None:
    p, target = case(4, 3)
    each, mean = (ClassScore(num_classes=4, score=score, average=average) for average in ("none", "macro"))  # type: ignore[arg-type]
    for metric in (each, mean):
        metric.update(p, target)
    values = each.compute()
    assert values.isnan().tolist() == [False, False, False, True]
    assert float(mean.compute()) == pytest.approx(float(values[:3].mean()), abs=1e-6)


@pytest.mark.parametrize("average", ["none", "macro", "weighted"])
def test_areas_are_those_of_scikit_learn(average: str) -> None:
    p, target = case()
    auroc = ClassAUROC(num_classes=4, average=average)  # type: ignore[arg-type]
    precision = ClassAveragePrecision(num_classes=4, average=average)  # type: ignore[arg-type]
    one_hot = np.eye(4)[target.numpy()]
    asked = None if average == "none" else average
    for metric in (auroc, precision):
        metric.update(p[:20], target[:20])
        metric.update(p[20:], target[20:])
    np.testing.assert_allclose(auroc.compute().numpy(), roc_auc_score(one_hot, p.numpy(), average=asked), atol=1e-6)
    np.testing.assert_allclose(
        precision.compute().numpy(), average_precision_score(one_hot, p.numpy(), average=asked), atol=1e-6
    )


@pytest.mark.parametrize("metric", [ClassAUROC, ClassAveragePrecision])
def test_areas_of_an_absent_class_are_nan(metric: type[ClassAUROC]) -> None:
    p, target = case(4, 3)
    each, mean = metric(num_classes=4, average="none"), metric(num_classes=4)
    for one in (each, mean):
        one.update(p, target)
    values = each.compute()
    assert values.isnan().tolist() == [False, False, False, True]
    assert float(mean.compute()) == pytest.approx(float(values[:3].mean()), abs=1e-6)


def test_a_split_of_one_class_has_no_auroc() -> None:
    metric = ClassAUROC(num_classes=2)
    metric.update(torch.rand(4, 2).softmax(1), torch.zeros(4, dtype=torch.long))
    assert math.isnan(metric.compute())


@pytest.mark.parametrize("bad", [{"score": "recal"}, {"score": "recall", "average": "mean"}])
def test_unknown_words_are_refused(bad: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="must be one of"):
        ClassScore(num_classes=2, **bad)  # type: ignore[arg-type]
