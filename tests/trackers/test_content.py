"""All trackers get the same content: each one's own reader finds what is in the run's files."""

import re
from typing import Any

import numpy as np
import pytest
from tests.trackers.conftest import Tracked
from tests.trackers.readers import READERS

from tandem.reports.metrics_table import read_metrics

every_tracker = pytest.mark.parametrize("name", READERS)

FIGURES = ("val/segmentation/panels", "val/segmentation/dice_against_threshold", "val/classification/confusion")


def plain(name: str) -> str:
    """A name as a file can be called."""
    return re.sub(r"[^\w.-]+", "_", name)


def assert_equal_in_single_precision(found: list[float], wanted: list[float]) -> None:
    """What was logged is a float32; trackers keep it as it is, files with the fewest digits."""
    np.testing.assert_array_equal(np.array(found, np.float32), np.array(wanted, np.float32))


@every_tracker
def test_scalars_are_those_of_metrics_csv(name: str, tracked: Tracked) -> None:
    rows = read_metrics(tracked.folder / "metrics.csv")
    scalars = tracked.seen[name].scalars
    for column in rows[0].keys() - {"epoch", "step"}:
        wanted = [float(row[column]) for row in rows]
        found = [value for _, value in scalars[column]]
        assert_equal_in_single_precision(found, wanted)
    assert {"val/loss", "val/segmentation/dice", "lr", "train/classification/accuracy"} <= rows[0].keys()
    assert "train/segmentation/gradient_share" in scalars


@every_tracker
def test_the_whole_configuration_is_there_with_what_was_computed(name: str, tracked: Tracked) -> None:
    wanted = tracked.settings
    found = tracked.seen[name].config
    assert found == wanted
    assert any(key.startswith("computed.") for key in wanted)


@every_tracker
def test_images_of_some_epochs_and_of_the_best_checkpoint(name: str, tracked: Tracked) -> None:
    wanted = {(figure, step) for figure in FIGURES for step in (1, 2)}
    wanted |= {(f"best/{figure}".replace("val", stage), 2) for figure in FIGURES for stage in ("val", "test")}
    if name in ("tensorboard", "mlflow"):
        wanted = {(re.sub("^best/", "with_best/", figure), step) for figure, step in wanted}
    if name == "csv":
        wanted = {(plain(figure), step) for figure, step in wanted}
    assert tracked.seen[name].images == wanted


@every_tracker
def test_the_summary_is_results_json_and_names_the_checkpoint(name: str, tracked: Tracked) -> None:
    seen = tracked.seen[name]
    metrics = tracked.results["metrics"]
    found = [seen.summary[f"best/{key}"] for key in metrics]
    if name == "tensorboard":  # a table for people
        assert found == pytest.approx(list(metrics.values()), rel=1e-5, nan_ok=True)
    else:
        assert_equal_in_single_precision(found, list(metrics.values()))
    best = tracked.folder.parents[1] / seen.summary["checkpoint"]
    assert best == tracked.folder / "best.ckpt"
    assert best.exists()
    assert seen.status == "finished"


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_few_numbers_without_a_curve_stand_behind_the_curves(name: str, tracked: Tracked) -> None:
    scalars = tracked.seen[name].scalars
    single = {key: values[0][1] for key, values in scalars.items() if key.startswith(("best/", "with_best/"))}
    mains = ("classification/balanced_accuracy", "segmentation/dice")
    wanted = {f"with_best/{stage}/{main}": tracked.results["metrics"][f"{stage}/{main}"] for main in mains
              for stage in ("val", "test")}  # fmt: skip
    assert single == pytest.approx(wanted)
    assert max(scalars.keys() - single.keys()) < min(single)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_run_is_named_by_what_was_typed(name: str, tracked: Tracked) -> None:
    said = "experiment=tiny,loss=dice_bce,fractions=-train- 0.5-"
    if name == "tensorboard":
        (events,) = (tracked.folder / "tensorboard").rglob("events.*")
        assert events.parent == tracked.folder / "tensorboard" / said
    else:
        assert tracked.seen[name].texts["mlflow.runName"] == said


@every_tracker
def test_learning_curves_end_with_training(name: str, tracked: Tracked) -> None:
    scalars = tracked.seen[name].scalars
    assert len(scalars["val/segmentation/dice"]) == 2
    assert not [key for key in scalars if key.startswith("test/")]


@pytest.mark.full
def test_trackers_change_no_number(tracked: Tracked, tmp_path: Any) -> None:
    from tandem.train.run import train

    alone = train({**tracked.config, "logger": {}}, tmp_path)
    assert alone["metrics"] == tracked.results["metrics"]
    assert alone["hash"] == tracked.results["hash"]
    assert (tmp_path / "metrics.csv").read_bytes() == (tracked.folder / "metrics.csv").read_bytes()


def test_confusion_of_the_best_checkpoint_agrees_with_its_scores(tracked: Tracked) -> None:
    for stage in ("val", "test"):
        matrix = tracked.results["confusion"][f"{stage}/classification"]
        counts = np.array(matrix["counts"])
        assert matrix["classes"] == ["normal", "benign", "malignant"]
        assert counts.sum() == 12
        recall = counts.diagonal() / counts.sum(1)
        assert tracked.results["metrics"][f"{stage}/classification/balanced_accuracy"] == pytest.approx(recall.mean())
        accuracy = counts.trace() / counts.sum()
        assert tracked.results["metrics"][f"{stage}/classification/accuracy"] == pytest.approx(accuracy)
