"""What predictions of each kind hold for an image: cells, masks, decisions."""

import numpy as np
import pytest
import torch

from tandem.errors import ConfigError, DataError
from tandem.predict.drawn import masks_of
from tandem.tasks.kinds import (
    ClassAnswer,
    ClassLabel,
    ClassMask,
    ClassMaskAnswer,
    Embedding,
    Mask,
    MaskAnswer,
    Number,
    Question,
    Raw,
    RawMap,
    RawMapAnswer,
    VectorAnswer,
    YesNo,
    YesNoAnswer,
)


def test_mask_channels_each_have_a_threshold_an_area_and_a_file() -> None:
    question = Question("where", Mask(), ("cyst", "solid"), (0.3, 0.6))
    values = np.array([[[0.2, 0.3, 0.9]], [[0.2, 0.3, 0.6]]], np.float32)
    answer = question.read(values)
    assert isinstance(answer, MaskAnswer)
    assert answer.mask.tolist() == [[[False, True, True]], [[False, False, True]]]
    assert {name: mask.tolist() for name, mask in answer.masks.items()} == {
        "cyst": [[0, 255, 255]],
        "solid": [[0, 0, 255]],
    }
    assert answer.cells == {
        "cyst.area": 2, "cyst.share": 0.666667, "cyst.threshold": 0.3,
        "solid.area": 1, "solid.share": 0.333333, "solid.threshold": 0.6,
    }  # fmt: skip
    files = [(column, name) for _, _, column, name in masks_of([question], "a/b")]
    assert files == [
        ("where.cyst.file", "masks/where/cyst/a/b.png"),
        ("where.solid.file", "masks/where/solid/a/b.png"),
    ]
    assert {*answer.cells, "cyst.file", "solid.file"} == set(question.columns)


def test_class_masks_hold_indices() -> None:
    question = Question("what", ClassMask(), ("background", "lesion", "marker"))
    values = np.array([[[0.5, 0.2]], [[0.3, 0.2]], [[0.2, 0.6]]], np.float32)
    answer = question.read(values)
    assert isinstance(answer, ClassMaskAnswer)
    assert answer.masks[""].tolist() == [[0, 2]]
    assert list(answer.regions) == ["lesion", "marker"]
    assert {*answer.cells, "file"} == set(question.columns)
    assert [answer.cells[f"{name}.area"] for name in question.names] == [1, 0, 1]


def test_a_class_is_the_likeliest() -> None:
    question = Question("class", ClassLabel(), ("benign", "malignant"))
    answer = question.read(np.array([0.25, 0.75], np.float32))
    assert isinstance(answer, ClassAnswer)
    assert answer.row == {"predicted": "malignant", "probability.benign": 0.25, "probability.malignant": 0.75}
    assert list(answer.row) == question.columns
    assert question.masks == ()


def test_yes_is_from_the_threshold_on() -> None:
    question = Question("is", YesNo(), ("malignant", "cyst"), (0.5, 0.25))
    answer = question.read(np.array([0.4, 0.25], np.float32))
    assert isinstance(answer, YesNoAnswer)
    assert answer.answers == {"malignant": False, "cyst": True}
    assert list(answer.cells) == question.columns
    assert answer.cells["cyst.predicted"] == 1


def test_numbers_and_vectors() -> None:
    age = Question("age", Number(), ("0",))
    assert age.read(np.array([41.5], np.float32)).cells == {"predicted": 41.5}
    assert age.columns == ["predicted"]
    both = Question("both", Number(), ("age", "size"))
    assert both.read(np.array([41.5, 2.0], np.float32)).cells == {"age.predicted": 41.5, "size.predicted": 2.0}
    place = Question("place", Embedding(), ("0", "1")).read(np.array([3.0, 4.0], np.float32))
    assert isinstance(place, VectorAnswer)
    assert place.cells == {"v0": 0.6, "v1": 0.8}


def test_values_of_an_unknown_kind_are_shown_as_they_are() -> None:
    question = Question("grade", Raw("ordinal"), ("0", "1"))
    assert question.read(np.array([0.9, 0.2], np.float32)).row == {"0.value": 0.9, "1.value": 0.2}
    assert question.columns == ["0.value", "1.value"]
    single = Question("risk", Raw("hazard"), ("0",))
    assert single.read(np.array([-3.5], np.float32)).row == {"value": -3.5}


def test_maps_of_an_unknown_kind_are_kept_whole_and_summarised_by_their_mean() -> None:
    question = Question("depth", RawMap("depth"), ("0",))
    answer = question.read(np.array([[[1.0, 2.0, 6.0]]], np.float32))
    assert isinstance(answer, RawMapAnswer)
    assert answer.row == {"mean": 3.0}
    assert answer.values.tolist() == [[[1.0, 2.0, 6.0]]]
    assert question.masks == ()


def test_other_than_one_name_for_each_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"task 'grade' names 2 values \(0, 1\), but .* shape \(1, 3\); let `class_n"):
        Question("grade", Raw("ordinal"), ("0", "1")).read(np.zeros(3, np.float32))


def test_a_task_adds_columns_of_its_own() -> None:
    question = Question(
        "grade", ClassLabel(), ("low", "high"), further=lambda p: {"sure": p.max() > 0.7, "best": p.argmax()},
        further_columns=("sure", "best"),
    )  # fmt: skip
    assert question.columns == ["predicted", "probability.low", "probability.high", "sure", "best"]
    row = question.read(np.array([0.2, 0.8], np.float32)).row
    assert (row["sure"], row["best"]) == (1, 1)
    assert [type(row[name]) for name in ("sure", "best")] == [int, int]


def test_columns_that_change_from_image_to_image_are_refused() -> None:
    def further(p: torch.Tensor) -> dict[str, float]:
        return {"high": 1.0} if p[0] > 0.5 else {"low": 1.0}

    question = Question("grade", Raw("ordinal"), ("0",), further=further, further_columns=("high",))
    assert question.read(np.array([0.9], np.float32)).row == {"value": 0.9, "high": 1.0}
    with pytest.raises(DataError, match="answer_from of task 'grade' returns low here and high elsewhere"):
        _ = question.read(np.array([0.1], np.float32)).row
