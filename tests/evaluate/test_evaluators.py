"""Parts of an evaluation that the phantoms do not reach, and what they are made of, against other libraries."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from PIL import Image
from scipy import stats
from sklearn import metrics as sk

from tandem.callbacks import ThresholdSweep
from tandem.evaluate.bootstrap import BootstrapSamples, estimate, mean_of
from tandem.evaluate.evaluators.channel import COUNTS, MaskMeasure, overlap
from tandem.evaluate.evaluators.classes import ClassMeasure
from tandem.evaluate.evaluators.vectors import nearest_shares_class, project
from tandem.evaluate.mask_files import file_name, write_mask
from tandem.evaluate.ranking import areas, curves_of, rank
from tandem.evaluate.reliability import reliability
from tandem.evaluate.report import figures
from tandem.evaluate.rows import RowsFile
from tandem.evaluate.split import Split
from tandem.reports.figures import confusion_figure


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=40))
def test_areas_are_those_of_scikit_learn_with_ties_and_repeated_images(rows: list[tuple[int, bool, int]]) -> None:
    scores, positive, times = (np.array(part) for part in zip(*rows, strict=True))
    auroc, precision = areas(rank(scores / 5, positive), times[None].astype(float))
    repeated = np.repeat(scores, times), np.repeat(positive, times)
    if 0 < repeated[1].sum() < len(repeated[1]):
        assert auroc[0] == pytest.approx(sk.roc_auc_score(repeated[1], repeated[0]))
        assert precision[0] == pytest.approx(sk.average_precision_score(repeated[1], repeated[0]))
    else:
        assert np.isnan(auroc[0])


def test_curves_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.random(100).round(1), random.random(100) < 0.4
    curves = curves_of(rank(scores, positive))
    false, true, thresholds = sk.roc_curve(positive, scores, drop_intermediate=False)
    assert curves["sensitivity"] == pytest.approx(true[1:], abs=1e-6)
    assert curves["false_positive_rate"] == pytest.approx(false[1:], abs=1e-6)
    assert curves["threshold"] == pytest.approx(thresholds[1:])


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    draws = BootstrapSamples(4000, 0, np.arange(400))
    found = estimate(lambda weights: {"mean": mean_of(weights, values)}, draws)["mean"]
    assert draws.over == "images"
    low, high = stats.norm.interval(0.95, values.mean(), values.std() / 20)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)


def test_an_interval_is_the_same_in_parts_and_unknown_without_images(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = BootstrapSamples(50, 3, np.arange(7))
    whole = np.concatenate(list(draws.weights()))
    monkeypatch.setattr("tandem.utils.resampling.CHUNK", 30)
    assert (np.concatenate(list(draws.weights())) == whole).all()
    nothing = estimate(lambda weights: {"mean": mean_of(weights, np.zeros(0))}, BootstrapSamples(10, 0, np.arange(0)))[
        "mean"
    ]
    assert all(np.isnan(value) for value in nothing)


def test_images_of_one_patient_make_an_interval_no_narrower() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 60)

    def interval(each: int, groups: Any) -> tuple[float, float]:
        all_of_them = np.repeat(values, each)
        found = estimate(lambda weights: {"mean": mean_of(weights, all_of_them)}, BootstrapSamples(500, 0, groups))[
            "mean"
        ]
        return found.low, found.high

    patients = np.repeat([f"patient {number:02}" for number in range(60)], 4)
    once, grouped, apart = interval(1, np.arange(60)), interval(4, patients), interval(4, np.arange(240))
    assert grouped == pytest.approx(once)
    assert apart[1] - apart[0] < 0.6 * (once[1] - once[0]), "half as wide, since four times as many: wrongly"
    assert BootstrapSamples(1, 0, patients).of(slice(0, 8)).over == "2 groups of images"
    assert all(
        (row.reshape(60, 4) == row.reshape(60, 4)[:, :1]).all()
        for row in next(BootstrapSamples(9, 0, patients).weights())
    )


def test_a_split_names_the_groups_of_its_images(tiny_samples: Any) -> None:
    def groups(*names: str) -> list[str]:
        samples = dataclasses.replace(tiny_samples(3, "val"), groups=names)
        return list(Split("val", samples, (), "", 1, {}, ThresholdSweep()).groups)

    assert groups() == ["val/0", "val/1", "val/2"]
    assert groups("one", "", "one") == ["one", "val/1", "one"]


def test_a_class_that_the_split_lacks_is_unknown_and_drags_no_mean_down() -> None:
    p, y = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]]), np.array([0, 1, 1])
    found = {name: value[0] for name, value in ClassMeasure(p, y, ("a", "b", "c"))(np.ones((1, 3))).items()}
    assert np.isnan(found["recall/c"])
    assert found["balanced_accuracy"] == pytest.approx(0.75)


@pytest.mark.parametrize(("empty", "expected"), [("skip", 0.5), ("score", 0.5)])
def test_the_official_mean_per_image_follows_the_policy_for_empty_masks(empty: str, expected: float) -> None:
    counts = np.zeros((3, len(COUNTS)), dtype=np.int64)
    counts[:, 0] = 100
    counts[0, 1:4] = (10, 10, 5)  # Dice 0.5
    counts[1, 2] = 3  # no lesion, something drawn: 0; the third is rightly empty: 1
    found = MaskMeasure(counts, "per_image", empty)(np.ones((1, 3)))
    assert found["dice"][0] == pytest.approx(expected)
    assert found["dice_lesion"][0] == pytest.approx(0.5)
    assert found["specificity_empty"][0] == pytest.approx(0.5)
    twice = MaskMeasure(counts, "per_image", empty)(np.array([[1.0, 0.0, 1.0]]))["dice"][0]
    assert twice == pytest.approx(0.75 if empty == "score" else 0.5)


def test_dice_below_iou_is_impossible() -> None:
    counts = np.zeros((1, len(COUNTS)), dtype=np.int64)
    counts[0, :4] = (100, 10, 10, 30)  # more in common than there is
    with pytest.raises(AssertionError, match="Dice below IoU"):
        overlap(counts)


def test_neighbours_and_map() -> None:
    places = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.0]])
    hits = nearest_shares_class(places, np.array([0, 0, 1, 2]))
    assert hits[:2].tolist() == [1, 1]
    assert np.isnan(hits[2:]).all()
    assert project(places).shape == (4, 2)


def test_reliability_of_honest_probabilities_lies_on_the_diagonal() -> None:
    random = np.random.default_rng(2)
    p = random.random(50_000)
    found = reliability(p, (random.random(50_000) < p).astype(float))
    assert found["share"] == pytest.approx(found["probability"], abs=0.03)
    assert sum(found["count"]) == 50_000


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "%2e%2e/x", "benign (1)"])
def test_no_name_of_an_image_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    path = tmp_path / file_name("segmentation", name)
    write_mask(path, np.eye(4, dtype=bool))
    assert path.resolve().parent == tmp_path / "masks" / "segmentation"
    with Image.open(path) as mask:
        assert mask.mode == "1"
        assert (np.asarray(mask) == np.eye(4, dtype=bool)).all()


def test_rows_are_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with RowsFile(path, ["a", "b"]) as rows:
        rows.write([{"a": 1, "b": float("nan")}, {"a": 'x,"y'}])
        assert not path.exists()
    assert path.read_text() == 'a,b\n1,\n"x,""y",\n'
    path.unlink()

    def fail() -> None:
        with RowsFile(path, ["a"]) as rows:
            rows.write([{"a": 1}])
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_figures_of_nothing_are_drawn_all_the_same() -> None:
    for figure in (
        figures.roc({}, {}),
        figures.precision_recall({}, {}),
        figures.reliability({}),
        figures.against_size(np.full(2, 0.1), np.full(2, np.nan), ["", ""]),
    ):
        figure.canvas.draw()


def test_names_of_classes_are_shown_as_they_are_and_not_read_as_formulas() -> None:
    name = r"$\frac{a$"
    line = {"sensitivity": [0.5], "false_positive_rate": [0.5], "recall": [0.5], "precision": [0.5]}
    for figure in (confusion_figure(np.eye(2, dtype=np.int64), ["a", name]), figures.roc({name: line}, {})):
        figure.canvas.draw()
        assert name in {text.get_text() for text in figure.findobj(Text)}
