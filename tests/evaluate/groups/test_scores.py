"""Numbers of groups are those of an evaluation of the group alone; gaps agree with a loop."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from tandem.evaluate.bootstrap import BootstrapSamples, estimate
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.evaluators.classes import ClassMeasure
from tandem.evaluate.groups.scores import gaps, group_scores
from tandem.utils.resampling import percentiles

RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.ones(3), 60)
Y = np.where(RNG.random(60) < 0.5, P.argmax(1), RNG.integers(0, 3, 60))
NAMES = ("a", "b", "c")


def test_a_group_has_the_numbers_and_intervals_of_its_images_alone() -> None:
    draws = BootstrapSamples(100, 0, np.arange(60) // 2)
    members = {"one": np.arange(0, 24), "other": np.arange(24, 60)}
    scores = group_scores(ClassMeasure(P, Y, NAMES), members, draws)
    for name, rows in members.items():
        alone = estimate(ClassMeasure(P[rows], Y[rows], NAMES), draws.of(rows))
        for metric, score in alone.items():
            assert scores[metric][name] == pytest.approx(score, nan_ok=True), metric
        answers = P[rows].argmax(1)
        assert scores["accuracy"][name].value == pytest.approx(accuracy_score(Y[rows], answers))
        assert scores["balanced_accuracy"][name].value == pytest.approx(balanced_accuracy_score(Y[rows], answers))


def test_a_gap_is_drawn_over_all_images_at_once() -> None:
    right = (P.argmax(1) == Y).astype(float)
    members = {name: np.flatnonzero(np.arange(60) % 3 == place) for place, name in enumerate("uvw")}
    draws = BootstrapSamples(1500, 0, np.arange(60) // 6)  # patients with images in all three groups
    statistic = ClassMeasure(P, Y, NAMES)
    signs = {"accuracy": 1, "brier": -1, "kappa": 0}
    scores = {key: value for key, value in group_scores(statistic, members, draws).items() if key in signs}
    found = dict(gaps(statistic, scores, members, draws, signs))
    assert found.keys() == {"accuracy", "brier"}
    best, worst = found["accuracy"]["best"], found["accuracy"]["worst"]
    shares = {name: right[rows].mean() for name, rows in members.items()}
    assert (shares[best], shares[worst]) == (max(shares.values()), min(shares.values()))
    assert found["brier"]["gap"][0] < 0, "lower is better"
    rng, drawn = np.random.default_rng(1), []
    for _ in range(1500):
        rows = np.concatenate([np.arange(6 * group, 6 * group + 6) for group in rng.integers(0, 10, 10)])
        drawn.append(
            right[rows[rows % 3 == "uvw".index(best)]].mean() - right[rows[rows % 3 == "uvw".index(worst)]].mean()
        )
    low, high = percentiles(np.array(drawn))
    gap = found["accuracy"]["gap"]
    assert gap[0] == pytest.approx(shares[best] - shares[worst])
    assert gap[1] == pytest.approx(low - (high - low) * 0.1, abs=0.06), "expanded percentiles are wider"
    assert gap[2] == pytest.approx(high + (high - low) * 0.1, abs=0.06)


def test_an_evaluation_by_columns(
    copied: Path, asked: Callable[..., Any], rows: Callable[[Path], list[dict[str, str]]], tmp_path: Path
) -> None:
    sites = ["A", "<b>B</b>", "", "C"]
    lines = [f"phantom/test/{row:06d},{sites[row % 3 if row else 3]}" for row in range(24)]
    (tmp_path / "sites.csv").write_text("\n".join(["id,site", *lines]) + "\n")
    by = ["site", "class", "lesion_area"]
    found: Mapping[str, Any] = evaluate_run(
        asked(copied, by=by, table=str(tmp_path / "sites.csv"), masks=False, cases=0, samples=20)
    )
    folder = copied / "evaluation" / "test"
    assert json.loads((folder / "metrics.json").read_text())["groups"][0]["column"] == "site"
    site = found["groups"][0]
    assert site["images"] == {"<b>B</b>": 8, "A": 7, "C": 1, "missing": 8}
    assert site["tasks"]["segmentation"]["gaps"] == {}, "no two groups of 10 images"
    assert "By site, segmentation: fewer than two groups have 10 images" in (folder / "report.html").read_text()
    table = {line["id"]: line["site"] for line in _read(folder / "groups.csv")}
    dice = [float(r["segmentation.dice"]) for r in rows(folder) if table[r["id"]] == "A" and r["segmentation.dice"]]
    assert site["tasks"]["segmentation"]["scores"]["dice_lesion"]["A"][0] == pytest.approx(np.mean(dice))
    page = (folder / "report.html").read_text()
    assert "&lt;b&gt;B&lt;/b&gt; (few)" in page
    assert "<b>B" not in page
    assert "<h2>By lesion_area</h2>" in page
    bare = evaluate_run(asked(copied, masks=False, cases=0, samples=20, page=False))
    assert bare["groups"] == []
    assert not (folder / "groups.csv").exists()
    assert bare["metrics"] == pytest.approx(found["metrics"], nan_ok=True)


def _read(path: Path) -> list[dict[str, str]]:
    import csv

    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
