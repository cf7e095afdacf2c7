"""Losses and metrics of a whole split, whatever its batches."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score, roc_auc_score
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassF1Score, MulticlassRecall

from tandem.data.datamodule import DataInfo
from tandem.losses import multiclass
from tandem.metrics import AreaError, BinnedAUROC
from tandem.tasks import ClassificationTask
from tandem.tasks.output import TaskOutput
from tandem.tasks.task_metrics import RowMean, TaskMetrics

METRICS: dict[str, Any] = {
    "accuracy": lambda num_classes: MulticlassAccuracy(num_classes, average="micro"),
    "balanced_accuracy": lambda num_classes: MulticlassAccuracy(num_classes, average="macro"),
    "f1_macro": lambda num_classes: MulticlassF1Score(num_classes, average="macro"),
    "recall": lambda num_classes: MulticlassRecall(num_classes, average="none"),
    "auroc": lambda num_classes: MulticlassAUROC(num_classes, average="macro"),
}


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_metrics_of_a_split_equal_those_of_scikit_learn(info: DataInfo, batch: int) -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(40, 3)).astype(np.float32))
    label = torch.from_numpy(rng.choice([-100, 0, 1, 2], 40, p=[0.3, 0.4, 0.2, 0.1]))
    label[7:14] = -100  # a batch without any
    task = ClassificationTask("diagnosis", info, multiclass.CrossEntropy(), METRICS)
    for start in range(0, 40, batch):
        output = task.answer(logits[start : start + batch], {"label": label[start : start + batch]})
        if output is not None:
            task.update(output, "val")
    found = {name: float(value) for name, value in task.compute("val").items()}
    known = label != -100
    truth = label[known].numpy()
    p = torch.softmax(logits[known].double(), 1).numpy()
    answer = p.argmax(1)
    recalls = recall_score(truth, answer, average=None)
    expected = {
        "loss": -np.log(p[np.arange(len(truth)), truth]).mean(),
        "accuracy": accuracy_score(truth, answer),
        "balanced_accuracy": balanced_accuracy_score(truth, answer),
        "f1_macro": f1_score(truth, answer, average="macro"),
        "recall/normal": recalls[0],
        "recall/benign": recalls[1],
        "recall/malignant": recalls[2],
        "auroc": roc_auc_score(truth, p, multi_class="ovr", average="macro"),
    }
    assert found == pytest.approx({f"val/diagnosis/{name}": value for name, value in expected.items()}, abs=1e-6)


def test_values_that_no_row_contributed_to_are_absent(info: DataInfo) -> None:
    task = ClassificationTask("diagnosis", info, multiclass.CrossEntropy(), METRICS)
    assert task.answer(torch.zeros(2, 3), {"label": torch.tensor([-100, -100])}) is None
    assert task.compute("val") == {}


def output(loss: float, rows: int, **terms: float) -> TaskOutput:
    losses = {name: torch.tensor(value) for name, value in terms.items()} or {"": torch.tensor(loss)}
    bare = {name: 2 * value for name, value in losses.items()}
    some = torch.zeros(rows, 3)
    return TaskOutput(some, torch.zeros(rows, dtype=torch.int64), losses, torch.arange(rows), torch.zeros(2), bare)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-100, 100, width=32), st.integers(1, 64)), min_size=1, max_size=8))
def test_a_mean_counts_rows_not_batches(batches: list[tuple[float, int]]) -> None:
    meters = TaskMetrics({}, ())
    for loss, rows in batches:
        meters.update(output(loss, rows))
    expected = math.fsum(loss * rows for loss, rows in batches) / sum(rows for _, rows in batches)
    assert meters.compute()["loss"].item() == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert meters.compute() == {}


def test_terms_are_kept_apart() -> None:
    meters = TaskMetrics({}, ())
    meters.update(output(0, 1, dice=1.0, bce=10.0))
    meters.update(output(0, 3, bce=20.0, dice=2.0))
    found = {name: value.item() for name, value in meters.compute().items()}
    expected = {"loss": 77 / 4, "loss/dice": 7 / 4, "loss/bce": 70 / 4}
    bare = {"loss/dice/unweighted": 14 / 4, "loss/bce/unweighted": 140 / 4}
    assert found == pytest.approx(expected | bare)
    meters.update(output(3.0, 2))
    assert meters.compute() == {"loss": 3.0}, "another epoch may have other terms"


def test_a_term_that_a_later_batch_lacks_is_no_silent_zero() -> None:
    meters = TaskMetrics({}, ())
    meters.update(output(0, 1, dice=1.0, bce=10.0))
    with pytest.raises(KeyError, match="loss/bce"):
        meters.update(output(0, 1, dice=1.0))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_loss_that_is_not_a_number_shows(place: int) -> None:
    mean = RowMean()
    for index in range(3):
        mean.update(torch.tensor(float("nan") if index == place else 1.0), 2)
    assert mean.compute().isnan()
    mean.reset()
    mean.update(torch.tensor(2.0), 5)
    assert mean.compute().item() == 2.0


def test_a_metric_keeps_its_own_count_for_each_stage(info: DataInfo) -> None:
    metric = MulticlassAccuracy(3)
    first, second = TaskMetrics({"accuracy": metric}, ()), TaskMetrics({"accuracy": metric}, ())
    first.update(output(1.0, 2))
    assert first.compute()["accuracy"] == 1.0
    assert second.compute() == {}
    assert not metric.update_called


def mask_output(probability: float) -> TaskOutput:
    truth = torch.ones(1, 1, 4, 4, dtype=torch.uint8)
    return TaskOutput(
        torch.full((1, 1, 4, 4), probability), truth, {"": torch.tensor(1.0)}, torch.tensor([0]), torch.zeros(2), {}
    )


def test_mask_metrics_wait_for_the_final_threshold() -> None:
    meters = TaskMetrics({"area": AreaError(), "auroc": BinnedAUROC()}, ["lesion"])
    meters.update(mask_output(0.3))
    assert set(meters.compute()) == {"loss", "auroc"}
    for threshold, error in ((0.3, 0.0), (0.31, 1.0)):
        meters.update(mask_output(0.3), torch.tensor([threshold]))
        assert float(meters.compute()["area"]) == error, "a probability at the threshold counts as yes"


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "f1_macro", "recall/normal", "auroc"])
def test_a_probability_that_is_nan_makes_every_metric_nan_and_is_named_once(
    info: DataInfo, metric: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = ClassificationTask("diagnosis", info, multiclass.CrossEntropy(), METRICS)
    logits = torch.eye(3).repeat(2, 1)
    for bad, expected in ((True, math.nan), (True, math.nan), (False, 1.0)):
        given = logits.clone()
        given[4] = torch.nan if bad else given[4]
        batch = {"label": torch.tensor([0, 1, 2, -100, 1, 2]), "id": list("abcdef")}
        output = task.answer(given, batch)
        assert output is not None
        task.update(output, "val")
        assert float(task.compute("val")[f"val/diagnosis/{metric}"]) == pytest.approx(expected, nan_ok=True)
    (warned,) = [message for message in caplog.messages if "not a number" in message]
    assert "val/diagnosis: the probabilities of 1 images are not a number" in warned
    assert "(e)" in warned
