"""What chooses the best epoch where the user leaves it to the tasks, and that the order of tasks does not count."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from tandem.config.identity import run_hash
from tandem.config.monitor import choose_monitor, chosen_monitor, resolved_monitor
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError

OFFERS = {
    "a": {"monitor": "val/a/f1", "mode": "max", "rank": 40},
    "b": {"monitor": "val/b/mae", "mode": "min", "rank": 20.5},
    "c": {"monitor": "val/c/accuracy", "mode": "max", "rank": 40},
}


def composed(*overrides: str, whole: bool = False) -> DictConfig:
    """`train.yaml` as the command line composes it."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=whole)


@pytest.mark.parametrize(
    ("monitor", "mode", "tasks", "expected"),
    [
        ("auto", "auto", "a", ("val/a/f1", "max")),
        ("auto", "auto", "b", ("val/b/mae", "min")),
        ("auto", "auto", "ba", ("val/a/f1", "max")),
        ("auto", "auto", "ca", ("val/a/f1", "max")),  # equal ranks: the first in the alphabet
        ("auto", "auto", "x", ("val/loss", "min")),
        ("auto", "auto", "xb", ("val/b/mae", "min")),
        ("auto", "min", "a", ("val/a/f1", "min")),  # what is given is kept
        ("val/loss", "auto", "a", ("val/loss", "min")),
        ("val/a/loss/dice", "auto", "a", ("val/a/loss/dice", "min")),
        ("val/b/mae", "auto", "ab", ("val/b/mae", "min")),
        ("val/a/recall", "auto", "ab", ("val/a/recall", "auto")),  # nobody knows, so it has to be asked
        ("val/a/recall", "max", "ab", ("val/a/recall", "max")),
    ],
)
def test_the_highest_rank_decides(monitor: str, mode: str, tasks: str, expected: tuple[str, str]) -> None:
    assert choose_monitor(monitor, mode, tasks, OFFERS) == expected
    assert choose_monitor(monitor, mode, tasks[::-1], OFFERS) == expected


@pytest.mark.parametrize(
    ("offer", "message"),
    [
        ({"monitor": "val/a/f1", "mode": "max"}, r"^monitors\.a lacks 'rank'; give monitors\.a\.rank$"),
        (None, r"^monitors\.a lacks 'monitor'"),
        (
            {"monitor": "val/a/f1", "mode": "max", "rank": "high"},
            r"^monitors\.a\.rank is 'high', but must be a number$",
        ),
        ({"monitor": "val/a/f1", "mode": "max", "rank": True}, r"^monitors\.a\.rank is True"),
    ],
)
def test_a_bad_offer_is_refused(offer: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_monitor("auto", "auto", ["a"], {"a": offer})


TABLE = [
    ("classification", "val/classification/balanced_accuracy", "max"),
    ("segmentation", "val/segmentation/dice", "max"),
    ("semantic", "val/semantic/dice", "max"),
    ("yes_no", "val/yes_no/f1", "max"),
    ("embedding", "val/embedding/map_at_r", "max"),
    ("regression", "val/regression/mae", "min"),
    ("column", "val/column/mae", "min"),
    ("multilabel", "val/multilabel/loss", "min"),
    ("classification,segmentation", "val/segmentation/dice", "max"),
    ("semantic,segmentation", "val/segmentation/dice", "max"),
    ("semantic,classification", "val/semantic/dice", "max"),
    ("segmentation,yes_no", "val/segmentation/dice", "max"),
    ("classification,yes_no", "val/classification/balanced_accuracy", "max"),
    ("yes_no,embedding", "val/yes_no/f1", "max"),
    ("embedding,regression", "val/embedding/map_at_r", "max"),
    ("regression,multilabel", "val/regression/mae", "min"),
    ("multilabel,regression,embedding,yes_no,segmentation", "val/segmentation/dice", "max"),
]


@pytest.mark.parametrize(("tasks", "monitor", "mode"), TABLE, ids=[row[0] for row in TABLE])
def test_shipped_tasks_and_what_they_monitor_in_any_order(tasks: str, monitor: str, mode: str) -> None:
    names = tasks.split(",")
    column = ["tasks.column.column=age"] if "column" in names else []
    first = resolve(composed(f"task=[{tasks}]", *column))
    assert (first["monitor"], first["mode"]) == (monitor, mode)
    best = first["callbacks"]["best"]
    assert (best["monitor"], best["mode"]) == (monitor, mode)  # what refers to them follows
    assert list(first["tasks"]) == sorted(names)
    if len(names) > 1:
        second = resolve(composed(f"task=[{','.join(reversed(names))}]", *column))
        assert second == first
        assert run_hash(second) == run_hash(first)


def test_every_task_offers_a_monitor_of_its_own() -> None:
    for file in (config_folder() / "task").glob("*.yaml"):
        (offer,) = OmegaConf.to_container(OmegaConf.load(file).monitors).items()  # type: ignore[union-attr]
        assert offer[0] == file.stem
        assert offer[1]["monitor"].startswith(f"val/{file.stem}/")


def test_ranks_and_offers_are_no_part_of_the_resolved_configuration() -> None:
    plain = resolve(composed("monitors.segmentation.rank=99"))
    assert "monitors" not in plain
    assert plain == resolve(composed())


def test_a_rank_can_be_changed() -> None:
    assert resolve(composed("monitors.segmentation.rank=0"))["monitor"] == "val/classification/balanced_accuracy"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["monitor=val/loss", "mode=min"], ("val/loss", "min")),
        (["monitor=val/loss"], ("val/loss", "min")),
        (["monitor=val/classification/balanced_accuracy"], ("val/classification/balanced_accuracy", "max")),
        (["experiment=curated_busi", "data.root=x", "data.subset=y"], ("val/loss", "min")),
        (
            ["experiment=curated_busi", "data.root=x", "data.subset=y", "monitor=auto", "mode=auto"],
            ("val/segmentation/dice", "max"),
        ),
    ],
    ids=str,
)
def test_an_explicit_monitor_wins(words: list[str], expected: tuple[str, str]) -> None:
    plain = resolve(composed(*words))
    assert (plain["monitor"], plain["mode"]) == expected


def test_asking_for_the_identity_leaves_the_composed_configuration_as_it_is() -> None:
    whole = composed("task=[segmentation,classification]", "callbacks=early_stopping", whole=True)
    before = OmegaConf.to_yaml(whole)
    folder = Path(whole.hydra.run.dir)
    assert folder.name == run_hash(resolve(composed("callbacks=early_stopping")))
    assert OmegaConf.to_yaml(whole) == before


def test_values_inside_of_the_block_and_after_it() -> None:
    config = composed("scheduler=plateau", "task=regression")
    with resolved_monitor(config):
        assert (config.monitor, config.mode, config.scheduler.mode) == ("val/regression/mae", "min", "min")
    assert (config.monitor, config.mode, config.scheduler.mode) == ("auto", "auto", "auto")


def test_what_has_no_monitor_is_left_alone() -> None:
    config = OmegaConf.create({"run": "there"})
    assert chosen_monitor(config) is None
    with resolved_monitor(config):
        assert config == {"run": "there"}
