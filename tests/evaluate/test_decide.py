"""Decisions in an evaluation: columns beside each other, differences image by image, nothing from test data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.data.batch import MISSING_PIXEL
from tandem.decisions.wanted import Wanted
from tandem.errors import ConfigError, DataError
from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.decide import decide_run
from tandem.evaluate.decided_table import StageMeasure, paired
from tandem.evaluate.settings import EvaluateSettings
from tandem.metrics.objective import Objective
from tandem.runs.restore import restore

pytest.importorskip("rankseg", reason="the extra rankdice is not installed")

Asked = Callable[..., EvaluateSettings]
Rows = Callable[[Path], list[dict[str, str]]]

ALL = ["temperature", "rankdice", "postprocess"]
COLUMNS = ["", "at 0.5", "at the swept threshold", "rankdice", "post-processed"]


@pytest.fixture(scope="module")
def plain(trained_masks: Path) -> dict[str, Any]:
    """The evaluation without any decision."""
    return evaluate(trained_masks)


def evaluate(run: Path, **changes: Any) -> dict[str, Any]:
    from tests.evaluate.conftest import settings

    return evaluate_run(settings(run, page=False, cases=0, masks=False, samples=20, **changes))


def table(found: dict[str, Any]) -> dict[str, list[Any]]:
    """Rows of the table of decisions, by label."""
    (one,) = [part for part in found["tables"]["segmentation"] if part["title"] == "Decisions"]
    assert one["head"] == COLUMNS
    return {row[0]: row[1:] for row in one["rows"]}


def test_each_column_is_that_of_its_masks(copied: Path, plain: dict[str, Any], asked: Asked, rows: Rows) -> None:
    found = evaluate_run(asked(copied, decide=ALL))
    folder = copied / "evaluation" / "test"
    values = table(found)
    middle = [value[0] for value in values["Dice per image"]]
    neutral = {key.removeprefix("test/segmentation/"): value for key, value in plain["metrics"].items()}
    assert middle[:2] == pytest.approx([neutral["dice_lesion_at_0.5"], neutral["dice_lesion"]])
    for label, of in (("difference per image", "Dice per image"), ("difference", "Dice (official)")):
        swept = values[of][1][0]
        assert values[label][1] == ""
        for column in (0, 2, 3):
            value, low, high = values[label][column]
            assert value == pytest.approx(values[of][column][0] - swept)
            assert low <= value <= high
    lines = rows(folder)
    drawn = [float(line["segmentation.dice"]) for line in lines if line["segmentation.dice"]]
    assert (
        middle[3] == pytest.approx(np.mean(drawn)) == pytest.approx(found["metrics"]["test/segmentation/dice_lesion"])
    )
    for line in lines:  # the files hold the decided masks
        mask = np.asarray(Image.open(folder / line["segmentation.file"]))
        assert mask.sum() == int(line["segmentation.area_predicted"])
    page = (folder / "report.html").read_text()
    assert "Decisions" in page
    assert "fitted on 24 validation images" in page
    assert found["decided"]["segmentation"].endswith("fitted on 24 validation images")


@pytest.mark.full
def test_nothing_is_fitted_on_the_evaluated_split(trained_masks: Path) -> None:
    decisions = {}
    for split in ("val", "test"):
        evaluate(trained_masks, split=split, decide=ALL)
        file = trained_masks / "evaluation" / split / "decisions.json"
        decisions[split] = json.loads(file.read_text())["decisions"]
    assert decisions["val"] == decisions["test"]
    assert decisions["test"]["segmentation"]["images"] == 24


def test_by_default_nothing_changes(trained_masks: Path, plain: dict[str, Any]) -> None:
    found = evaluate(trained_masks, decide="threshold")
    for one in (found, plain):
        assert not {"decisions", "decided"} & one.keys()
    for key in ("metrics", "intervals", "tables", "thresholds", "threshold"):
        assert json.dumps(found[key]) == json.dumps(plain[key])
    assert not (trained_masks / "evaluation" / "test" / "decisions.json").exists()


@pytest.mark.full
def test_a_temperature_leaves_the_masks_and_calibrates_the_validation_data(trained_masks: Path) -> None:
    before, after = (evaluate(trained_masks, split="val", decide=word) for word in ("threshold", "temperature"))
    name = "val/segmentation/"
    for key in ("dice", "dice_lesion", "dice_at_0.5", "recall", "specificity_empty"):
        assert after["metrics"][name + key] == pytest.approx(before["metrics"][name + key], abs=1e-6)
    assert after["thresholds"] != before["thresholds"]


@pytest.mark.full
def test_a_wanted_value_is_reached_where_it_was_chosen(trained_masks: Path) -> None:
    found = evaluate(trained_masks, split="val", threshold="sensitivity:0.8")
    assert found["threshold"] == "sensitivity:0.8"
    assert found["metrics"]["val/segmentation/recall"] >= 0.8
    run = restore(trained_masks)
    decide_run(run, {"segmentation": Wanted("sensitivity", 0.8)})  # as predict and export choose it
    assert run.module.tasks["segmentation"].threshold.tolist() == pytest.approx(found["thresholds"]["segmentation"])


def test_what_cannot_be_reached_or_decided_is_one_line(trained_masks: Path) -> None:
    with pytest.raises(ConfigError, match=r"task 'segmentation', 24 validation images: ppv reaches .* at most"):
        evaluate(trained_masks, threshold="ppv:1")
    with pytest.raises(ConfigError, match="threshold names 'lesion', which has no threshold"):
        evaluate(trained_masks, threshold={"lesion": "ppv:0.5"})


@pytest.mark.full
def test_numbers_and_wanted_values_meet_other_decisions(trained_masks: Path) -> None:
    found = evaluate(trained_masks, threshold=0.3, decide="rankdice")
    (one,) = [part for part in found["tables"]["segmentation"] if part["title"] == "Decisions"]
    assert one["head"] == ["", "at 0.5", "at the swept threshold", "at the given threshold", "rankdice"]
    assert found["thresholds"] == {"segmentation": [0.3]}


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", '{"run": 1}', '{"run": "0123", "decisions": {}}',
        '{"run": "HASH", "decisions": {"segmentation": 5}}',
        '{"run": "HASH", "decisions": {"../x": {}}}', '{"run": "HASH", "decisions": [1]}',
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_refused(trained_masks: Path, tmp_path: Path, content: str) -> None:
    run = restore(trained_masks)
    file = tmp_path / "decisions.json"
    file.write_text(content.replace("HASH", run.results["hash"]))
    with pytest.raises(DataError, match=r"decisions\.json.* holds"):
        decide_run(run, decide=file)


def test_without_validation_data_it_says_what_to_do(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise DataError("the data are gone")

    monkeypatch.setattr("tandem.evaluate.split.read_split", gone)
    with pytest.raises(DataError, match=r"^the data are gone; what is fitted needs .* decide=RUN/evaluation/SPLIT/"):
        decide_run(restore(copied), Wanted("sensitivity", 0.5))


def test_a_difference_is_paired_and_may_lie_below_zero() -> None:
    rng = np.random.default_rng(0)
    true, swept = rng.integers(20, 60, 40), rng.integers(10, 60, 40)
    hits = np.minimum(true, swept) // 2
    counts = np.stack([np.full(40, 100), true, swept, hits, swept, hits, swept + 5, np.maximum(hits - 3, 0)], axis=1)
    measure = StageMeasure(counts, ("at 0.5", "at the swept threshold", "rankdice"), Objective())
    found = paired(measure.differences, BootstrapSamples(300, 0, np.arange(40)))
    dice = [2 * counts[:, 3 + 2 * k] / (true + counts[:, 2 + 2 * k]) for k in range(3)]
    value, low, high = found["rankdice/lesion.difference"]
    assert value == pytest.approx((dice[2] - dice[1]).mean())
    assert low < value < high < 0
    error = (dice[2] - dice[1]).std(ddof=1) / np.sqrt(40)  # the interval of paired values, by the normal distribution
    assert (high - low) == pytest.approx(2 * 2.02 * error, rel=0.2)
    assert found["at 0.5/lesion.difference"] == (0.0, 0.0, 0.0)  # the same masks


def test_missing_pixels_count_nowhere() -> None:
    import torch

    from tandem.decisions.decision import Decision
    from tandem.evaluate.decided_table import DecidedCounts

    class Task:
        decision, threshold, swept, channels = Decision("rankdice"), torch.tensor([0.5]), None, 1

    counts = DecidedCounts(Task())  # type: ignore[arg-type]
    target = torch.tensor([[[[1, 0, MISSING_PIXEL, MISSING_PIXEL]]]])
    p = torch.tensor([[[[0.9, 0.8, 0.9, 0.1]]]])
    counts.see({"at the given threshold": p >= 0.5, "rankdice": p >= 0.85}, p, target)
    assert counts.kept[0].tolist() == [[[2, 1, 2, 1, 2, 1, 1, 1]]]
