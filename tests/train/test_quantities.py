"""What a run tells of its numbers: every one, from yaml, the metric itself, or the catalogue."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from torchmetrics.classification import MulticlassHammingDistance, MulticlassRecall

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.factory import make_data, make_module
from tandem.metrics.catalogue import LESION, key_of, metric_of
from tandem.metrics.stored import read_quantities
from tandem.train.quantities import monitored, run_quantities
from tandem.train.run import train, train_job

WORDS = [
    "experiment=tiny", "data.train=12", "data.val=12", "data.test=12", "data.seed=3", "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false", "callbacks.panels.count=1", "logger=none", "penalties=[l2]",
    "loss/binary@tasks.segmentation.loss=dice_bce",
]  # fmt: skip
HAMMING = "torchmetrics.classification.MulticlassHammingDistance"


def configuration(*words: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train", [*WORDS, *words]))


def added(name: str, target: str, **more: Any) -> str:
    keys = {"_target_": target, "_partial_": "true", **more}
    return f"+tasks.classification.metrics.{name}={{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run with a metric that the catalogue does not know, once by class and once with its own label."""
    folder = tmp_path_factory.mktemp("finished")
    more = [added("nll", HAMMING, average="none"), added("ece", HAMMING, label="my ECE", direction="max")]
    train(configuration(*more), folder)
    return folder


def test_every_number_of_a_run_is_told(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    told = read_quantities(results)
    assert set(told) == {key_of(name) for name in results["metrics"]}
    directions = {key: one.direction for key, one in told.items()}
    assert directions["segmentation/dice"] == "max"
    assert directions["segmentation/threshold"] is directions["segmentation/area_bias"] is None
    assert {directions[key] for key in told if key.startswith("classification/nll/")} == {"min"}, "the metric's own"
    assert (told["classification/ece"].label, directions["classification/ece"]) == ("my ECE", "max"), "the yaml's"
    assert told["segmentation/area_error"].group == LESION
    assert told["segmentation/area_error"].at_threshold
    assert told["segmentation/dice"].at_threshold
    assert not told["segmentation/pixel_auroc"].at_threshold
    assert "my ECE" in (finished / "report.html").read_text()


def test_every_logged_column_is_in_the_catalogue_or_told(finished: Path) -> None:
    with (finished / "metrics.csv").open() as file:
        names = [name for name in next(csv.reader(file)) if "/" in name]
    told = read_quantities(json.loads((finished / "results.json").read_text()))
    assert {"train/penalty/l2", "train/segmentation/weight/dice", "val/segmentation/loss/dice/unweighted"} <= set(names)
    assert [name for name in names if metric_of(name) is None and key_of(name) not in told] == []


def test_what_is_declared_after_the_run_is_taken_up_and_nothing_is_trained_again(finished: Path) -> None:
    before = json.loads((finished / "results.json").read_text())
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        words = [added("nll", HAMMING, average="none", label="log loss"), added("ece", HAMMING, direction="min")]
        train_job(compose("train", [*WORDS, *words]), finished)
    after = json.loads((finished / "results.json").read_text())
    assert {key for key in before if before[key] != after[key]} == {"quantities"}
    assert after["quantities"]["classification/nll/benign"]["label"] == "log loss/benign"
    assert after["quantities"]["classification/ece"]["direction"] == "min"
    assert "log loss/benign" in (finished / "report.html").read_text()


class Silent(MulticlassRecall):
    """A metric that says nothing of its direction."""

    higher_is_better = None


class Bad(MulticlassHammingDistance):
    """One that says that less is better."""


def test_a_direction_is_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ALLOW", __name__)
    config = configuration(
        added("mine", f"{__name__}.Silent", average="none"),
        added("accuracy", f"{__name__}.Bad").removeprefix("+"),
        "data=phantom",
    )
    module = make_module(config, make_data(config).info)
    names = ["val/classification/mine/dice", "val/classification/accuracy", "val/classification/loss"]
    found = run_quantities(names, module.tasks, config)
    assert [one.direction for one in found.values()] == [None, "min", "min"], "a class called 'dice' says nothing"
    assert monitored({**config, "monitor": "val/classification/mine"}, module.tasks).direction is None


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (["monitor=val/classification/brier", "mode=max"], "but a lower value is better; set mode=min"),
        (["monitor=val/segmentation/dice", "mode=min"], "but a higher value is better; set mode=max"),
        (["monitor=val/classification/brier", "mode=min"], None),
        (["monitor=val/segmentation/threshold", "mode=min"], None),
    ],
)
def test_a_mode_against_the_direction_is_warned_of_in_one_line(
    words: list[str], warned: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    from tandem.train.announce import _warn_of_mode

    config = configuration(*words)
    module = make_module(config, make_data(config).info)
    with caplog.at_level(logging.WARNING):
        _warn_of_mode(config, module)
    assert len(caplog.messages) == (warned is not None)
    assert warned is None or warned in caplog.messages[0]
