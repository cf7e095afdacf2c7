"""Numbers of rows per image against loops and another library."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score
from torchmetrics.functional.classification import multiclass_calibration_error

from tandem.paper.measures import MEASURES, Answers, measure, refined
from tandem.refine import Consistency, EmptyByProbability

NAMES = ["normal", "benign", "malignant"]


def answers(rows: list[tuple[int, int, int, int]]) -> Answers:
    """From (true class, drawn pixels, hits, predicted class); a true mask has 20 pixels, a normal image none."""
    labels = [NAMES[c] for c, *_ in rows]
    true = np.array([20 if c else 0 for c, *_ in rows])
    hits = np.array([min(drawn, hits) if c else 0 for c, drawn, hits, _ in rows])
    return Answers(
        np.array([f"{number}" for number in range(len(rows))]), np.array(labels), true,
        np.array([drawn for _, drawn, *_ in rows]), hits, np.array([NAMES[p] for *_, p in rows]),
    )  # fmt: skip


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 0, 5, 30]), st.integers(0, 20), st.integers(0, 2)),
    min_size=1,
    max_size=15,
)


def dice_of(true: int, drawn: int, hits: int) -> float:
    """By the convention of the published code."""
    if true == 0:
        return 1.0 if drawn == 0 else 0.0
    return 2 * hits / (true + drawn)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_masks_against_a_loop(rows: list[tuple[int, int, int, int]]) -> None:
    a = answers(rows)
    assert a.true is not None and a.drawn is not None and a.hits is not None  # noqa: PT018 (for the type checker)
    each = [dice_of(t, d, h) for t, d, h in zip(a.true.tolist(), a.drawn.tolist(), a.hits.tolist(), strict=True)]
    lesion = [value for value, true in zip(each, a.true, strict=True) if true]
    empty = [drawn == 0 for drawn, true in zip(a.drawn, a.true, strict=True) if not true]
    assert measure("dice", a) == pytest.approx(np.mean(each))
    assert same(measure("dice_lesion", a), np.mean(lesion) if lesion else math.nan)
    assert same(measure("specificity_empty", a), np.mean(empty) if empty else math.nan)
    for name in NAMES:
        own = [value for value, label in zip(each, a.labels, strict=True) if label == name]
        assert same(measure("dice", a, name), np.mean(own) if own else math.nan)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_classes_against_another_library(rows: list[tuple[int, int, int, int]]) -> None:
    a = answers(rows)
    true, predicted = a.labels, a.predicted
    labels = np.unique(true)
    assert measure("accuracy", a) == pytest.approx(accuracy_score(true, predicted))
    weighted = f1_score(true, predicted, average="weighted", labels=labels, zero_division=0)
    assert measure("f1_weighted", a) == pytest.approx(weighted)
    macro = f1_score(true, predicted, average="macro", labels=labels, zero_division=0)
    assert measure("f1_macro", a) == pytest.approx(macro)
    if predicted is not None and set(predicted) <= set(true) and len(labels) > 1:  # it warns of others
        assert measure("balanced_accuracy", a) == pytest.approx(balanced_accuracy_score(true, predicted))


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_refined_rows_against_a_loop(rows: list[tuple[int, int, int, int]]) -> None:
    a = answers(rows)
    b = refined(a, Consistency())
    assert a.drawn is not None and b.drawn is not None and b.predicted is not None and b.hits is not None  # noqa: PT018
    for row, (_, drawn, _, c) in enumerate(rows):
        normal = NAMES[c] == "normal"
        assert b.drawn[row] == (0 if normal else drawn)
        assert b.predicted[row] == ("normal" if normal or drawn == 0 else NAMES[c])
        assert b.hits[row] <= b.drawn[row]


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 9))
def test_probabilities_against_other_libraries(rows: list[tuple[int, int, int, int]], seed: int) -> None:
    a = answers(rows)
    p = np.random.default_rng(seed).dirichlet(np.ones(3), len(rows))
    a = replace(a, probabilities=p, classes=tuple(NAMES))
    true = torch.tensor([c for c, *_ in rows])
    expected = multiclass_calibration_error(torch.from_numpy(p), true, 3, n_bins=15)
    assert measure("calibration_error", a) == pytest.approx(float(expected), abs=1e-6)
    some = [c for c in range(3) if 0 < sum(true == c) < len(rows)]
    each = [roc_auc_score(true.numpy() == c, p[:, c]) for c in some]
    assert same(measure("auroc", a), np.mean(each) if each else math.nan)
    assert a.pick(a.labels == NAMES[0]).probabilities is not None


def test_a_rule_that_is_fitted_on_validation_data() -> None:
    a = answers([(0, 5, 0, 1), (1, 5, 5, 1), (2, 30, 20, 2), (0, 5, 0, 1)])
    normal = np.array([0.4, 0.2, 0.1, 0.45])
    a = replace(a, probabilities=np.stack([normal, 1 - normal, normal / 4], 1), classes=tuple(NAMES))
    b = refined(a, EmptyByProbability(), a)
    assert b.drawn is not None
    assert b.predicted is not None
    assert b.drawn.tolist() == [0, 5, 30, 0], "with a cut of 0.3"
    assert b.predicted.tolist() == ["normal", "benign", "benign", "normal"]
    assert measure("dice", b) > measure("dice", refined(a, Consistency()))


def test_the_published_average_is_the_mean_over_images() -> None:
    benign, malignant, normal = 222 * 0.806, 164 * 0.713, 64 * 0.0
    assert (benign + malignant + normal) / 450 == pytest.approx(0.658, abs=0.001)


@pytest.mark.parametrize("name", MEASURES)
def test_without_masks_or_classes_a_number_is_unknown(name: str) -> None:
    whole = answers([(0, 0, 0, 0), (1, 5, 5, 1)])
    bare = Answers(whole.ids, whole.labels, None, None, None, None)
    assert math.isnan(measure(name, bare))
    assert math.isnan(measure(name, whole, "malignant")), "no such image"
    assert refined(bare, Consistency()) is bare


def same(one: Any, two: Any) -> bool:
    return bool(np.isclose(one, two, equal_nan=True))
