"""Yes/no questions that follow from the class."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tandem.data.batch import Batch
from tandem.data.datamodule import DataInfo
from tandem.errors import ConfigError
from tandem.losses.binary import BCE
from tandem.network import FeatureChannels, Features
from tandem.tasks import YesNoTask

INFO = DataInfo("tiny", ("normal", "benign", "malignant"), 1)
BOTH = {"lesion": ["benign", "malignant"], "malignant": ["malignant"]}


def task(questions: Any = BOTH) -> YesNoTask:
    return YesNoTask("yes_no", INFO, BCE(), questions)


def batch(*labels: int) -> Batch:
    return Batch(label=torch.tensor(labels), id=[str(row) for row in range(len(labels))])


def test_answers_follow_from_the_class_and_are_missing_where_it_is() -> None:
    target = task().read_target(batch(0, 1, 2, -100))
    assert target is not None
    assert target.dtype == torch.uint8
    assert target.tolist() == [[0, 0], [1, 0], [1, 1], [255, 255]]
    assert task().labelled(target).tolist() == [True, True, True, False]
    assert task().read_target({"image": torch.zeros(2)}) is None


def test_each_question_has_a_logit_and_an_independent_probability() -> None:
    questions = task()
    questions.attach(FeatureChannels(4, 0))
    logits = questions(Features(torch.randn(5, 4, 2, 2), None, (8, 8), (8, 8)))
    assert logits.shape == (5, 2)
    assert list(questions.class_names) == ["lesion", "malignant"]
    assert questions.threshold.tolist() == [0.5, 0.5]
    values: Tensor = torch.tensor([[0.0, 2.0]])
    assert questions.probabilities(values).equal(torch.sigmoid(values))


def test_rows_without_a_class_count_in_no_loss() -> None:
    questions = task()
    logits = torch.tensor([[1.0, -2.0], [50.0, 50.0], [0.5, 0.5]])
    output = questions.answer(logits, batch(1, -100, 0))
    assert output is not None
    assert output.rows.tolist() == [0, 2]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[[0, 2]], torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    )
    torch.testing.assert_close(output.loss, expected)
    assert questions.answer(logits, batch(-100, -100, -100)) is None


def test_a_checkpoint_holds_the_thresholds_and_no_table_of_answers() -> None:
    assert "threshold" in task().state_dict()
    assert "answers" not in task().state_dict()


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ({}, "questions is empty"),
        ({"malignant": None}, "questions is empty"),
        ({"a": ["cancer"]}, r"questions\.a: data 'tiny' has no class 'cancer': there are: benign, malignant, normal"),
        ({"a": ["maligant"]}, "did you mean 'malignant'"),
        ({"a": "malignant"}, r"questions\.a is the string 'malignant', but must be a list: \[malignant\]"),
        ({"a": []}, r"questions\.a is yes for no class"),
        ({"a": ["normal", "benign", "malignant"]}, r"questions\.a is yes for every class"),
        ({"is it": ["benign"]}, "a question cannot be called 'is it'"),
        ({"a/b": ["benign"]}, "a question cannot be called 'a/b'"),
    ],
)
def test_invalid_questions_are_refused(questions: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(questions)
