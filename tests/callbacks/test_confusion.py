"""Counts of which class was taken for which."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor

from tandem.callbacks import Confusion
from tandem.data.datamodule import DataInfo
from tandem.losses.binary import BCE
from tandem.losses.multiclass import CrossEntropy
from tandem.tasks import ClassificationTask, SegmentationTask, SemanticTask, Task, TaskOutput

NAMES = ("normal", "benign", "malignant")
INFO = DataInfo("made up", NAMES, 1, mask_classes=NAMES)


def counted(task: Task, stage: str, batches: list[tuple[Tensor, Tensor] | None], callback: Confusion) -> Any:
    """The matrices after a split of these probabilities and targets; None is a batch without any target."""
    module: Any = SimpleNamespace(tasks={task.name: task}, device=torch.device("cpu"))
    trainer: Any = SimpleNamespace()
    callback.begin(trainer, module, stage)
    for batch in batches:
        rows = torch.arange(0 if batch is None else len(batch[0]))
        outputs = {} if batch is None else {task.name: TaskOutput(*batch, {}, rows, torch.zeros(2), {})}
        callback.see(trainer, module, stage, outputs, {})
    callback.end(trainer, module, stage)
    return callback.matrices


def made_up(seed: int, *size: int) -> tuple[Tensor, Tensor]:
    """Probabilities of three classes and targets, (N,) or for each pixel."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size[0], 3, *size[1:], generator=generator)
    return logits.softmax(1), torch.randint(3, size, generator=generator)


def test_counts_over_a_split_are_those_of_scikit_learn() -> None:
    batches = [made_up(seed, rows) for seed, rows in enumerate((7, 1, 12))]
    task = ClassificationTask("which", INFO, CrossEntropy())
    matrices = counted(task, "test", [batches[0], None, *batches[1:]], Confusion())
    answers = torch.cat([probabilities.argmax(1) for probabilities, _ in batches])
    truth = torch.cat([target for _, target in batches])
    assert matrices.keys() == {"test/which"}
    assert matrices["test/which"]["classes"] == list(NAMES)
    np.testing.assert_array_equal(matrices["test/which"]["counts"], confusion_matrix(truth, answers))


def test_pixels_that_are_unknown_count_nowhere() -> None:
    probabilities, target = made_up(3, 4, 6, 5)
    target[:, :2] = 255
    matrices = counted(SemanticTask("where", INFO, CrossEntropy()), "val", [(probabilities, target)], Confusion())
    known = target != 255
    wanted = confusion_matrix(target[known], probabilities.argmax(1)[known])
    np.testing.assert_array_equal(matrices["val/where"]["counts"], wanted)


def test_each_split_is_counted_by_itself() -> None:
    task, callback = ClassificationTask("which", INFO, CrossEntropy()), Confusion()
    for stage, rows in (("val", 9), ("val", 5), ("test", 3)):
        matrices = counted(task, stage, [made_up(0, rows)], callback)
    assert {place: np.sum(matrix["counts"]) for place, matrix in matrices.items()} == {"val/which": 5, "test/which": 3}


def test_without_a_target_or_a_choice_of_classes_there_is_no_matrix() -> None:
    assert counted(ClassificationTask("which", INFO, CrossEntropy()), "val", [None], Confusion()) == {}
    assert counted(SegmentationTask("where", INFO, BCE()), "val", [None], Confusion()) == {}
