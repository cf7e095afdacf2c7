"""A search as its configuration describes it, and what of it is refused."""

import copy
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.search import Hyperband, Median, NoPruning
from tandem.search.overrides import named, words_for_training
from tandem.search.settings import read_settings


@pytest.fixture(scope="module")
def composed() -> Iterator[Any]:
    """Composes what is typed, each once: `composed("search=focal")`."""
    register("search")
    known: dict[tuple[str, ...], dict[str, Any]] = {}

    def make(*typed: str) -> dict[str, Any]:
        if typed not in known:
            with initialize_config_dir(str(config_folder()), version_base="1.3"):
                known[typed] = resolve(compose("search", ["name=mine", *typed]))
        return copy.deepcopy(known[typed])

    yield make
    register()


def test_every_option_is_a_search_for_more_of_something(composed: Any) -> None:
    objectives = {}
    for option in sorted(path.stem for path in (config_folder() / "search").glob("*.yaml")):
        settings = read_settings(composed(f"search={option}"))
        assert settings.directions == ["maximize"] * len(settings.objectives)
        objectives[option] = settings.objectives
    dice, accuracy = "val/segmentation/dice", "val/classification/balanced_accuracy"
    assert objectives == {"dice_accuracy": [dice, accuracy], "focal": [dice], "losses": [dice]}


def test_every_pruner_can_be_chosen(composed: Any) -> None:
    kinds = {}
    for option in sorted(path.stem for path in (config_folder() / "search" / "pruner").glob("*.yaml")):
        kinds[option] = type(read_settings(composed(f"search/pruner={option}")).pruner)
    assert kinds == {"hyperband": Hyperband, "median": Median, "none": NoPruning}


def test_less_of_a_loss_is_better(composed: Any) -> None:
    config = composed("search=focal")
    config["search"]["objectives"] = "val/segmentation/loss"
    settings = read_settings(config)
    assert (settings.objectives, settings.directions) == (["val/segmentation/loss"], ["minimize"])
    config["search"]["objectives"] = None
    assert read_settings({**config, "monitor": "val/loss", "mode": "min"}).directions == ["minimize"]


NLL = {"_target_": "torchmetrics.classification.MulticlassHammingDistance", "_partial_": True}
WRAPPER = {"_target_": "torchmetrics.Accuracy", "_partial_": True}
"""Its class says nothing of a direction."""


def with_metric(config: dict[str, Any], **node: Any) -> dict[str, Any]:
    config["tasks"]["classification"]["metrics"]["nll"] = node
    return config


def test_what_the_metric_itself_or_its_yaml_wants_low_is_minimised(composed: Any) -> None:
    name = "val/classification/nll"
    for node in (NLL, {**WRAPPER, "direction": "min"}, {**NLL, "direction": "min"}):
        config = with_metric(composed("search=focal"), **node)
        config["search"]["objectives"] = name
        assert read_settings(config).directions == ["minimize"]
    config["search"]["objectives"] = None
    assert read_settings({**config, "monitor": name, "mode": "min"}).directions == ["minimize"]


def test_the_monitor_is_minimised_though_mode_comes_from_another_task(
    composed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config = with_metric(composed("search=focal"), **NLL)
    config["search"]["objectives"] = None
    assert read_settings({**config, "monitor": "val/classification/nll", "mode": "max"}).directions == ["minimize"]
    assert caplog.messages == ["the search: val/classification/nll is minimised, though mode=max; set mode=min"]


def test_a_direction_may_stand_behind_the_objective(composed: Any) -> None:
    config = composed("search=focal", "search/pruner=none")
    config["search"]["objectives"] = {"val/segmentation/mine": "min", "val/segmentation/dice": "max"}
    settings = read_settings(config)
    assert settings.objectives == ["val/segmentation/mine", "val/segmentation/dice"]
    assert settings.directions == ["minimize", "maximize"]


@pytest.mark.parametrize(
    ("objectives", "line"),
    [
        (
            "val/classification/nll",
            "search.objectives: 'val/classification/nll' has no known direction; add "
            "+tasks.classification.metrics.nll.direction=min (or max)",
        ),
        (
            "val/segmentation/mine",
            "search.objectives: 'val/segmentation/mine' has no known direction; write "
            "'search.objectives={val/segmentation/mine: min}' (or max)",
        ),
        (
            {"val/segmentation/mine": "up"},
            "search.objectives: 'val/segmentation/mine' has the direction 'up', but it must be min or max",
        ),
        (None, "monitor: 'val/classification/nll' has no known direction; add +tasks.classification.metrics.nll."),
    ],
)
def test_an_objective_without_a_known_direction_is_refused(composed: Any, objectives: Any, line: str) -> None:
    config = with_metric(composed("search=focal"), **WRAPPER)
    config["search"]["objectives"] = objectives
    if objectives is None:
        config["monitor"] = "val/classification/nll"
    with pytest.raises(ConfigError) as refused:
        read_settings(config)
    assert str(refused.value).startswith(line)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"objectives": []}, "search.objectives is [], but must be a list of metrics"),
    (
        {"objectives": ["test/segmentation/dice"]},
        "search.objectives: 'test/segmentation/dice' is not val/...; settings ",
    ),
    ({"objectives": ["dice"]}, "search.objectives: 'dice' is not val/...;"),
    ({"objectives": ["val/segmentaton/dice"]}, "search.objectives: 'val/segmentaton/dice' is of no task: did you mean"),
    (
        {"objectives": ["val/segmentation/threshold"]},
        "search.objectives: of 'val/segmentation/threshold' neither more ",
    ),
    ({"objectives": ["val/loss", "val/loss"]}, "search.objectives names a metric twice"),
    ({"objectives": ["val/segmentation/dice", "val/loss"]}, "a search with several objectives cannot prune; add "),
    ({"n_trials": 0}, "search.n_trials is 0, but must be at least 1"),
    ({"n_jobs": 0}, "search.n_jobs is 0, but must be at least 1"),
    ({"seed": -1}, "search.seed is -1, but must be at least 0"),
    ({"startup": 0}, "search.startup is 0, but must be at least 1"),
    ({"space": {}}, "search.space is empty; add a range"),
    (
        {"pruner": {"_target_": "tandem.search.Median", "startup": 0}},
        "search.pruner.startup=0, warm_up=0: need startup ",
    ),
    (
        {"pruner": {"_target_": "tandem.search.Hyperband", "least": 20}},
        "search.pruner.least=20 must be below trainer.max_epochs=",
    ),
]


@pytest.mark.parametrize(("changes", "line"), WRONG, ids=[str(changes) for changes, _ in WRONG])
def test_what_cannot_be_is_refused_in_one_line(composed: Any, changes: dict[str, Any], line: str) -> None:
    config = composed("search=focal")
    config["search"] |= changes
    with pytest.raises(ConfigError) as refused:
        read_settings(config)
    assert str(refused.value).startswith(line)


def test_what_is_typed_for_training_goes_to_every_trial() -> None:
    typed = [
        "search=focal",
        "experiment=tiny",
        "search/pruner=none",
        "+search.space.seed=[1,2]",
        "~search.space.balance",
    ]
    assert words_for_training([*typed, "optimizer.lr=1e-3"], ["seed"]) == ["experiment=tiny", "optimizer.lr=1e-3"]
    assert named(["experiment=tiny"], "search_focal") == ["experiment=tiny", "name=search_focal"]
    assert named(["name=mine"], "mine") == ["name=mine"]
    with pytest.raises(ConfigError, match="'seed' is in the search space; remove its override"):
        words_for_training(["seed=3"], ["seed"])


def test_without_optuna_the_extra_is_named(composed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna.pruners", None)
    with pytest.raises(ConfigError, match=r"adaptive search needs optuna \(.*\); pip install 'tandem-mtl\[search\]'"):
        read_settings(composed("search=focal"))
