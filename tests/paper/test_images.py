"""Rows per image: of classes, of one yes/no question, before and after a temperature."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandem.errors import DataError
from tandem.paper.images import read_answers, with_classes

CLASSES = ["no", "yes", "no", "yes"]
LOGITS = np.array([[0.0, 1.0], [-1.0, 2.0], [3.0, 0.5], [0.4, 0.1]])
HOT = 2.0


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z)
    found: np.ndarray = e / e.sum(1, keepdims=True)
    return found


def write(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "class", *columns])
        table.writerows(zip("abcd", CLASSES, *columns.values(), strict=True))
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Of a task `c`, whose logits were divided by 2."""
    p = softmax(LOGITS / HOT)
    answers = [("no", "yes")[place] for place in p.argmax(1)]
    return write(
        tmp_path / "c.csv",
        {"c.predicted": answers, "c.probability.no": p[:, 0].tolist(), "c.probability.yes": p[:, 1].tolist()},
    )


@pytest.fixture
def question(tmp_path: Path) -> Path:
    """Of a task `q`, whose logits were divided by 2."""
    p = 1 / (1 + np.exp(-(LOGITS[:, 1] - LOGITS[:, 0]) / HOT))
    cells = {"probability": p, "predicted": p >= 0.3, "true": CLASSES, "threshold": [0.3] * 4}
    return write(tmp_path / "q.csv", {f"q.yes.{key}": list(values) for key, values in cells.items()})


@pytest.mark.parametrize("kind", ["classes", "question"])
def test_probabilities_and_what_they_were(kind: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    task = kind[0]
    found = read_answers(path, "stored")
    assert found.classes == ("no", "yes")
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, softmax(LOGITS / HOT), atol=1e-12)
    before = read_answers(path, "stored", {task: HOT})
    assert before.probabilities is not None
    np.testing.assert_allclose(before.probabilities, softmax(LOGITS), atol=1e-12)
    other = read_answers(path, "stored", {"another": HOT})
    np.testing.assert_array_equal(other.probabilities, found.probabilities)


def test_a_question_has_a_threshold_and_classes_have_none(classes: Path, question: Path) -> None:
    answers = {
        (path.stem, at): read_answers(path, at).predicted for path in (classes, question) for at in ("stored", 0.5)
    }
    listed = {key: None if found is None else found.tolist() for key, found in answers.items()}
    assert listed["c", "stored"] == listed["c", 0.5] == listed["q", 0.5] == ["yes", "yes", "no", "no"]
    assert listed["q", "stored"] == ["yes", "yes", "no", "yes"]


def test_a_question_that_is_no_class_gives_none(tmp_path: Path) -> None:
    other = write(tmp_path / "o.csv", {"q.sick.probability": [0.1] * 4, "q.sick.threshold": [0.5] * 4})
    two = {f"q.{name}.{key}": [0.5] * 4 for name in ("yes", "no") for key in ("probability", "threshold")}
    for path in (other, write(tmp_path / "two.csv", two)):
        assert read_answers(path, "stored").predicted is None


def test_the_classes_of_another_run_bring_their_probabilities(classes: Path, question: Path) -> None:
    both = with_classes(read_answers(question, "stored"), read_answers(classes, 0.5), "here")
    assert both.predicted is not None
    assert both.predicted.tolist() == ["yes", "yes", "no", "no"]
    assert both.probabilities is not None
    other = read_answers(classes, 0.5)
    fewer = other.pick(np.array([True, True, True, False]))
    with pytest.raises(DataError, match="here: the runs to combine were not tested on the same images"):
        with_classes(both, fewer, "here")
