"""Tasks about findings, numbers and classes of pixels: what they read, what they leave out, what they refuse."""

from typing import Any

import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score
from torchmetrics.classification import MulticlassF1Score, MulticlassJaccardIndex

from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.losses import binary, multiclass, regression
from tandem.tasks import (
    AreaTask,
    ClassificationTask,
    ColumnTask,
    EmbeddingTask,
    MultilabelTask,
    SegmentationTask,
    SemanticTask,
)

INFO = DataInfo(
    "made up",
    ("a", "b"),
    1,
    mask_channels=(),
    mask_classes=("background", "liver", "spleen"),
    findings=("cyst", "mass"),
    columns=("age",),
)
NOTHING = DataInfo("bare", (), 1, mask_channels=())


def test_unknown_findings_count_nowhere_and_known_ones_beside_them_do() -> None:
    task = MultilabelTask("multilabel", INFO, binary.BCE())
    findings = torch.tensor([[1, 255], [255, 255], [0, 1]], dtype=torch.uint8)
    logits = torch.tensor([[0.3, 9.0], [9.0, 9.0], [-1.0, 0.5]], requires_grad=True)
    output = task.answer(logits, {"findings": findings})
    assert output is not None
    known = torch.tensor([0.3, -1.0, 0.5])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(known, torch.tensor([1.0, 0.0, 1.0]))
    assert output.loss.item() == pytest.approx(expected.item())
    assert output.rows.tolist() == [0, 2]
    output.loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[findings == 255].tolist() == [0, 0, 0]
    assert task.class_names == ("cyst", "mass")
    assert task.channels == len(task.threshold) == 2


def test_numbers_that_are_unknown_are_left_out() -> None:
    task = ColumnTask("column", INFO, regression.MSE(), "age")
    batch = {"columns": {"age": torch.tensor([30.0, float("nan"), 50.0])}}
    output = task.answer(torch.tensor([[31.0], [5.0], [50.0]]), batch)
    assert output is not None
    assert output.loss.item() == pytest.approx(0.5)
    assert task.answer(torch.zeros(3, 1), {"label": torch.zeros(3)}) is None
    with pytest.raises(ConfigError, match=r"column is 'aeg', which data 'made up' lacks: did you mean 'age'"):
        ColumnTask("column", INFO, regression.MSE(), "aeg")
    with pytest.raises(ConfigError, match=r"column is \['age', 'age'\], but must be one name or several"):
        ColumnTask("column", INFO, regression.MSE(), ["age", "age"])


def test_classes_of_pixels_and_their_metrics() -> None:
    makers = {
        "dice": lambda **options: MulticlassF1Score(average="none", **options),
        "iou": lambda **options: MulticlassJaccardIndex(average="none", **options),
    }
    task = SemanticTask("semantic", INFO, multiclass.CrossEntropy(), makers)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 3, 8, 8, generator=generator)
    mask = torch.randint(0, 3, (3, 1, 8, 8), generator=generator).to(torch.uint8)
    mask[0, :, :3], mask[1] = 255, 255
    output = task.answer(logits, {"mask": mask})
    assert output is not None
    assert output.rows.tolist() == [0, 2]
    expected = torch.nn.functional.cross_entropy(logits, mask[:, 0].long(), ignore_index=255)
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    task.update(output, "val")
    found = task.compute("val")
    known = mask[:, 0] != 255
    truth, predicted = mask[:, 0][known].numpy(), logits.argmax(1)[known].numpy()
    for name, score in (("dice", f1_score), ("iou", jaccard_score)):
        values = [float(found[f"val/semantic/{name}/{label}"]) for label in INFO.mask_classes]
        assert values == pytest.approx(score(truth, predicted, average=None).tolist())


def test_a_segmentation_has_a_question_for_each_channel_of_the_masks() -> None:
    info = DataInfo("two", (), 1, mask_channels=("lesion", "hair"))
    task = SegmentationTask("segmentation", info, binary.BCE())
    assert task.channels == 2
    assert task.class_names == ("lesion", "hair")
    mask = torch.zeros(2, 2, 4, 4, dtype=torch.uint8)
    mask[:, 1] = 255
    output = task.answer(torch.zeros(2, 2, 4, 4), {"mask": mask})
    assert output is not None
    assert output.loss.item() == pytest.approx(0.6931, abs=1e-4)


REFUSED: list[tuple[Any, DataInfo, str]] = [
    (lambda info: ClassificationTask("t", info, multiclass.CrossEntropy()), NOTHING, "label"),
    (lambda info: SegmentationTask("t", info, binary.BCE()), NOTHING, "mask"),
    (lambda info: SegmentationTask("t", info, binary.BCE()), INFO, "mask"),
    (lambda info: AreaTask("t", info, regression.MSE()), NOTHING, "mask"),
    (lambda info: SemanticTask("t", info, multiclass.CrossEntropy()), DataInfo("x", ("a",), 1), "class mask"),
    (lambda info: MultilabelTask("t", info, binary.BCE()), NOTHING, "findings"),
    (lambda info: ColumnTask("t", info, regression.MSE(), "age"), NOTHING, "columns"),
]


@pytest.mark.parametrize(("make", "info", "what"), REFUSED, ids=[str(entry[2]) for entry in REFUSED])
def test_a_task_without_its_target_is_refused(make: Any, info: DataInfo, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"task 't' learns from a {what}, but data '{info.name}' has none"):
        make(info)


def test_an_embedding_needs_classes_too() -> None:
    loss = torch.nn.Identity()
    loss.kind = "embedding"  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="learns from a label"):
        EmbeddingTask("t", NOTHING, loss)
