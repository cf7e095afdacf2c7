"""What every task does: rows without a target, weighted terms, probabilities, refusals."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchmetrics.classification import BinaryF1Score

from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.losses import Composite, binary, multiclass, regression
from tandem.network import FeatureChannels
from tandem.tasks import AreaTask, ClassificationTask, SegmentationTask, YesNoTask
from tandem.tasks.kinds import ClassLabel, Kind, Raw
from tandem.tasks.output import TaskOutput
from tandem.tasks.task import STAGES, Task

GARBAGE = [float("nan"), float("inf"), -1e30]


def classify(info: DataInfo, **options: Any) -> ClassificationTask:
    return ClassificationTask("diagnosis", info, options.pop("loss", multiclass.CrossEntropy()), **options)


def segment(
    info: DataInfo, loss: nn.Module | None = None, metrics: Mapping[str, Any] | None = None
) -> SegmentationTask:
    return SegmentationTask("lesion", info, loss or binary.BCE(), metrics)


def answered(task: Task, logits: Tensor, **batch: Tensor) -> TaskOutput:
    output = task.answer(logits, batch)
    assert output is not None
    return output


def cross_entropy(logits: Tensor, label: Tensor) -> float:
    """Float64 oracle: the mean over labelled rows of -log softmax."""
    rows = [
        np.log(np.exp(row).sum()) - row[answer]
        for row, answer in zip(logits.double().numpy(), label.numpy(), strict=True)
        if answer != -100
    ]
    return float(np.mean(rows))


def bce(logits: Tensor, mask: Tensor) -> float:
    """Float64 oracle: the mean over pixels with a target."""
    known = (mask != 255).numpy()
    z, y = logits.double().numpy()[known], mask.double().numpy()[known]
    return float(np.mean(np.log1p(np.exp(-z)) + (1 - y) * z))


@pytest.mark.parametrize("filler", GARBAGE)
@pytest.mark.parametrize("labels", [[-100, 2, 0, -100], [1, -100, -100, -100], [0, 1, 2, -100]])
def test_rows_without_a_label_are_left_out(info: DataInfo, labels: list[int], filler: float) -> None:
    torch.manual_seed(0)
    label = torch.tensor(labels)
    logits = torch.randn(4, 3)
    logits[label == -100] = filler
    logits.requires_grad_()
    output = answered(classify(info), logits, label=label)
    known = (label != -100).nonzero().squeeze(1)
    assert output.rows.tolist() == known.tolist()
    assert output.target.tolist() == label[known].tolist()
    assert torch.equal(output.probabilities, torch.softmax(logits.detach()[known], 1))
    assert output.loss.item() == pytest.approx(cross_entropy(logits.detach()[known], label[known]), rel=1e-6)
    assert output.logit_range.tolist() == [logits[known].min().item(), logits[known].max().item()]
    (gradient,) = torch.autograd.grad(output.loss, logits)
    assert gradient.isfinite().all()
    assert (gradient[label == -100] == 0).all()
    assert (gradient[known].abs().sum(1) > 0).all()


@pytest.mark.parametrize("filler", GARBAGE)
def test_pixels_and_masks_that_are_missing_are_left_out(info: DataInfo, filler: float) -> None:
    torch.manual_seed(0)
    mask = torch.randint(0, 2, (4, 1, 5, 6), dtype=torch.uint8)
    mask[1] = 255  # a whole mask
    mask[2, :, :, 4:] = 255  # a part of one
    logits = torch.randn(4, 1, 5, 6)
    logits[mask == 255] = filler
    logits.requires_grad_()
    output = answered(segment(info), logits, mask=mask)
    assert output.rows.tolist() == [0, 2, 3]
    assert torch.equal(output.target, mask[[0, 2, 3]])
    known = output.target != 255
    assert torch.equal(output.probabilities[known], torch.sigmoid(logits.detach()[[0, 2, 3]])[known])
    assert output.loss.item() == pytest.approx(bce(logits.detach(), mask), rel=1e-6)
    (gradient,) = torch.autograd.grad(output.loss, logits)
    assert gradient.isfinite().all()
    assert (gradient[mask == 255] == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-1, 2), min_size=1, max_size=8), st.integers(0, 1000))
def test_the_mean_is_never_diluted(labels: list[int], seed: int) -> None:
    info = DataInfo("made up", ("a", "b", "c"), 1)
    torch.manual_seed(seed)
    label = torch.tensor([-100 if answer < 0 else answer for answer in labels])
    logits = torch.randn(len(labels), 3)
    output = classify(info).answer(logits, {"label": label})
    known = label != -100
    if not known.any():
        assert output is None
    else:
        assert output is not None
        alone = answered(classify(info), logits[known], label=label[known])
        assert torch.equal(output.loss, alone.loss)


@pytest.mark.parametrize(
    ("make", "logits", "batch"),
    [
        (classify, (2, 3), {"label": torch.tensor([-100, -100])}),
        (classify, (2, 3), {"mask": torch.zeros(2, 1, 4, 4)}),
        (segment, (2, 1, 4, 4), {"mask": torch.full((2, 1, 4, 4), 255, dtype=torch.uint8)}),
        (segment, (2, 1, 4, 4), {"label": torch.tensor([0, 1])}),
    ],
    ids=["no label", "no labels in the data", "no mask", "no masks in the data"],
)
def test_a_batch_without_any_target_has_no_answer(
    info: DataInfo, make: Callable[[DataInfo], Task], logits: tuple[int, ...], batch: dict[str, Tensor]
) -> None:
    assert make(info).answer(torch.zeros(logits), batch) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str)
def test_probabilities_are_float32_without_gradient(info: DataInfo, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = (torch.randn(2, 1, 4, 4) * 4).to(dtype).requires_grad_()
    output = answered(segment(info), logits, mask=torch.ones(2, 1, 4, 4, dtype=torch.uint8))
    assert output.probabilities.dtype == torch.float32
    assert not output.probabilities.requires_grad
    assert torch.equal(output.probabilities, torch.sigmoid(logits.detach().float()))
    assert output.loss.requires_grad
    assert output.loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    classes = answered(classify(info), torch.randn(2, 3).to(dtype), label=torch.tensor([0, 1]))
    assert classes.probabilities.dtype == torch.float32
    assert torch.allclose(classes.probabilities.sum(1), torch.ones(2))


def test_weighted_terms_add_up_to_the_loss(info: DataInfo) -> None:
    torch.manual_seed(0)
    logits, mask = torch.randn(3, 1, 4, 4), torch.randint(0, 2, (3, 1, 4, 4))
    parts = {"dice": binary.Dice(), "bce": binary.BCE()}
    task = segment(info, Composite(parts, {"dice": 0.25, "bce": 3.0}))
    output = answered(task, logits, mask=mask)
    expected = {"dice": 0.25 * parts["dice"](logits, mask), "bce": 3.0 * parts["bce"](logits, mask)}
    assert {name: term.item() for name, term in output.losses.items()} == pytest.approx(
        {name: term.item() for name, term in expected.items()}
    )
    assert output.loss.item() == pytest.approx(sum(expected.values()).item())
    task.update(output, "val")
    values = task.compute("val")
    assert values["val/lesion/loss/bce"] == pytest.approx(expected["bce"].item())
    assert values["val/lesion/loss/bce/unweighted"] == pytest.approx(expected["bce"].item() / 3)
    assert not any(term.requires_grad for term in output.unweighted.values())
    assert values["val/lesion/loss"] == pytest.approx(output.loss.item())


def test_weights_follow_the_epoch_and_are_logged_with_the_training_split(info: DataInfo) -> None:
    weights: dict[str, float | dict[str, float]] = {"dice": 1, "bce": {"from": 0, "to": 2, "start": 1, "end": 5}}
    task = segment(info, Composite({"dice": binary.Dice(), "bce": binary.BCE()}, weights))
    logits, mask = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    assert task.moving() == ("bce",)
    for epoch, weight in ((0, 0.0), (2, 0.5), (9, 2.0), (2, 0.5)):
        task.begin_epoch(epoch)
        for stage in ("train", "val"):
            task.update(answered(task, logits, mask=mask), stage)
        train, val = task.compute("train"), task.compute("val")
        assert train["train/lesion/weight/bce"] == weight
        assert train["train/lesion/weight/dice"] == 1
        assert train["train/lesion/loss/bce"] == pytest.approx(weight * math.log(2))
        assert train["train/lesion/loss/bce/unweighted"] == pytest.approx(math.log(2))
        assert val["val/lesion/loss"] == train["train/lesion/loss"], "validation has the weights of its epoch"
        assert not [name for name in val if "weight/" in name]


def test_a_loss_without_a_schedule_needs_no_epoch(info: DataInfo) -> None:
    task = segment(info)
    task.begin_epoch(3)
    assert task.weights() == {}
    assert task.moving() == ()


@pytest.mark.parametrize(
    ("make", "loss", "message"),
    [
        (classify, binary.BCE(), r"BCE is a binary loss, but this task needs a multiclass.*multiclass@tasks.diagnosis"),
        (segment, multiclass.CrossEntropy(), "CrossEntropy is a multiclass loss, but this task needs a binary one"),
        (segment, nn.BCEWithLogitsLoss(), r"BCEWithLogitsLoss has no kind.*choose loss/binary@tasks\.lesion\.loss="),
        (segment, torch.sigmoid, "the loss sigmoid has no kind"),
    ],
)
def test_a_loss_of_another_kind_is_refused(info: DataInfo, make: Any, loss: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(info, loss=loss)


@pytest.mark.parametrize("name", ["", "two words", "a/b", "a.b", "keys", "training", "loss", "update", "compute"])
def test_names_that_cannot_be_logged_or_kept_are_refused(info: DataInfo, name: str) -> None:
    with pytest.raises(ConfigError, match=f"a task cannot be called '{name}'"):
        SegmentationTask(name, info, binary.BCE())
    with pytest.raises(ConfigError, match=f"a metric cannot be called '{name}'"):
        segment(info, metrics={name: BinaryF1Score})


class Graded(ClassificationTask):
    """Names the predicted class, and has a custom kind."""

    @property
    def target_kind(self) -> Kind:
        return Raw("grade")

    def answer_from(self, probabilities: Tensor) -> Mapping[str, Any]:
        return {"best": self.class_names[int(probabilities.argmax())]}


def test_a_task_brings_its_kind_and_its_answer(info: DataInfo) -> None:
    plain, graded = classify(info).question(), Graded("grade", info, multiclass.CrossEntropy()).question()
    assert (plain.kind, plain.further, plain.further_columns) == (ClassLabel(), None, ())
    assert (graded.kind, graded.further_columns) == (Raw("grade"), ("best",))
    row = graded.read(np.array([0.1, 0.7, 0.2], np.float32)).row
    assert row["best"] == info.classes[1]
    assert list(row) == graded.columns == [*(f"{name}.value" for name in info.classes), "best"]


def test_thresholds_of_a_question_are_those_of_now(info: DataInfo) -> None:
    task = segment(info)
    assert task.question().thresholds == (0.5,)
    task.threshold.fill_(0.25)
    assert task.question().thresholds == (0.25,)


def test_probabilities_that_the_names_do_not_fit_are_refused(info: DataInfo) -> None:
    class Short(ClassificationTask):
        def probabilities(self, logits: Tensor) -> Tensor:
            return logits[:, :2]

    with pytest.raises(ConfigError, match=r"task 't' names 3 values .* have the shape \(4, 2\); let `class_names`"):
        Short("t", info, multiclass.CrossEntropy()).answer(torch.zeros(4, 3), {"label": torch.tensor([0, 1, 2, 0])})


SHARED: list[Callable[..., Task]] = [
    lambda info, **shared: ClassificationTask("t", info, multiclass.CrossEntropy(), **shared),
    lambda info, **shared: YesNoTask("t", info, binary.BCE(), {"bad": ["malignant"]}, **shared),
    lambda info, **shared: SegmentationTask("t", info, binary.BCE(), **shared),
    lambda info, **shared: AreaTask("t", info, regression.MSE(), **shared),
]


@pytest.mark.parametrize("make", SHARED, ids=["class", "yes_no", "segmentation", "area"])
def test_every_head_takes_the_shared_arguments(info: DataInfo, make: Callable[..., Task]) -> None:
    task = make(info, dropout=0.25)
    task.attach(FeatureChannels(8, 4))
    assert [part.p for part in task.head.modules() if isinstance(part, nn.Dropout | nn.Dropout2d)] == [0.25]
    with pytest.raises(ConfigError, match=r"dropout is 1\.0, but must lie in \[0, 1\)"):
        make(info, dropout=1.0)


def test_answers_without_shares_take_no_prior_bias(info: DataInfo) -> None:
    with pytest.raises(ConfigError, match="prior_bias is True, but must be false: the answers of a regression task"):
        AreaTask("t", info, regression.MSE(), prior_bias=True)


def test_a_metric_of_another_library_is_refused(info: DataInfo) -> None:
    with pytest.raises(ConfigError, match="ReLU among the metrics of task 'lesion' is no torchmetrics metric"):
        segment(info, metrics={"wrong": nn.ReLU})


def test_the_checkpoint_holds_head_and_threshold_and_no_counts(info: DataInfo) -> None:
    task = segment(info, metrics={"f1": BinaryF1Score})
    task.attach(FeatureChannels(8, 4))
    task.update(answered(task, torch.zeros(1, 1, 2, 2), mask=torch.ones(1, 1, 2, 2)), "val")
    state = task.state_dict()
    assert set(state) == {"threshold", "head.logits.weight", "head.logits.bias"}
    assert state["threshold"].tolist() == [0.5]


def test_stages_and_copies_do_not_mix(info: DataInfo) -> None:
    task = segment(info)
    output = answered(task, torch.zeros(1, 1, 2, 2), mask=torch.ones(1, 1, 2, 2))
    task.update(output, "val")
    twin = copy.deepcopy(task)
    assert task.compute("train") == task.compute("test") == {}
    assert set(task.compute("val")) == {"val/lesion/loss"}
    assert task.compute("val") == {}, "counted anew"
    assert set(twin.compute("val")) == {"val/lesion/loss"}
    assert all(twin.meters[stage] is twin.get_submodule(f"{stage}_meters") for stage in STAGES)
