"""Choices are kept in the cache by structure, and in a run's folder and checkpoint."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from tandem.runs.performance import Computing, described, read_computing, used_precision
from tandem.train.performance.store import cache_file, keep, kept, read_cache, structure, write_cache

HALF = Computing("bf16-mixed", fused=True, threads=2)

CONFIG: dict[str, Any] = {
    "seed": 1,
    "network": {"backbone": "resnet18", "depth": 3, "weights": None},
    "tasks": {"mask": {"_target_": "A", "width": 8, "loss": {"_target_": "Focal", "gamma": 2.0, "terms": 1}}},
    "balance": {"_target_": "Fixed", "weights": {"mask": 1}},
    "optimizer": {"_target_": "AdamW", "lr": 0.1, "weight_decay": 0},
    "parameters": {"lr_factors": {"network": 0.1}},
    "trainer": {"gradient_clip_val": None, "max_epochs": 3},
}


def changed(*path: str, value: Any) -> dict[str, Any]:
    """The configuration with another value at a place."""
    config = json.loads(json.dumps(CONFIG))
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    assert isinstance(config, dict)
    return config


@pytest.mark.parametrize(
    ("path", "value", "same"),
    [
        (("seed",), 2, True),
        (("tasks", "mask", "loss", "gamma"), 3, True),
        (("tasks", "mask", "loss", "terms"), 4, True),
        (("optimizer", "lr"), 0.01, True),
        (("optimizer", "weight_decay"), 0.01, True),
        (("balance", "weights", "mask"), 0.3, True),
        (("parameters", "lr_factors", "network"), 0.2, True),
        (("trainer", "max_epochs"), 9, True),
        (("network", "weights"), "file.pth", True),
        (("network", "depth"), 4, False),
        (("network", "backbone"), "resnet34", False),
        (("tasks", "mask", "width"), 16, False),
        (("tasks", "mask", "loss", "_target_"), "Dice", False),
        (("optimizer", "_target_"), "SGD", False),
        (("trainer", "gradient_clip_val"), 1.0, False),
    ],
)
def test_runs_that_differ_in_numbers_share_a_structure(path: tuple[str, ...], value: Any, same: bool) -> None:
    assert (structure(changed(*path, value=value)) == structure(CONFIG)) is same


def test_a_choice_is_found_again_by_its_facts(tmp_path: Path) -> None:
    facts = {"structure": structure(CONFIG), "device": "cpu"}
    path = cache_file(tmp_path, facts)
    assert read_cache(path, read_computing) is None
    write_cache(path, HALF.plain(), facts, {str(HALF): 0.25})
    assert read_cache(cache_file(tmp_path, json.loads(json.dumps(facts))), read_computing) == HALF
    assert cache_file(tmp_path, {**facts, "device": "cuda"}) != path
    assert json.loads(path.read_text())["seconds"] == {"precision bf16-mixed, fused optimiser, 2 threads": 0.25}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


GOOD = HALF.plain()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        json.dumps({"performance": None}),
        json.dumps({"performance": {**GOOD, "precision": "16-true"}}),
        json.dumps({"performance": {**GOOD, "threads": 0}}),
        json.dumps({"performance": {**GOOD, "threads": True}}),
        json.dumps({"performance": {**GOOD, "fused": 1}}),
        json.dumps({"performance": {**GOOD, "channels_last": "no"}}),
        json.dumps({"performance": {**GOOD, "more": 1}}),
        json.dumps({"performance": {"precision": "32-true"}}),
    ],
)
def test_a_damaged_file_is_named_and_left(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert read_cache(path, read_computing) is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"cache file {path} is damaged (")
    assert "\n" not in record.getMessage()


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").write_text("")
    write_cache(tmp_path / "file" / "a.json", HALF.plain(), {}, {})
    assert "cannot be written" in caplog.text
    assert "data.cache=" in caplog.text


def test_a_run_s_folder_keeps_it(tmp_path: Path) -> None:
    assert kept(tmp_path) is None
    keep(HALF, tmp_path)
    assert kept(tmp_path) == HALF


@pytest.mark.parametrize(("stored", "found"), [({"performance": GOOD}, HALF), ({}, None)])
def test_the_checkpoint_says_it_where_the_file_is_lost(
    tmp_path: Path, stored: dict[str, Any], found: Computing | None
) -> None:
    torch.save({"epoch": 1, **stored}, tmp_path / "last.ckpt")
    assert kept(tmp_path) == found


@pytest.mark.parametrize(
    ("results", "precision", "words"),
    [
        ({}, None, "exact"),
        ({"config": {"trainer": {"precision": "64-true"}}}, "64-true", "exact"),
        (
            {"config": {"trainer": {"precision": "auto"}, "performance": {"name": "auto"}}, "performance": GOOD},
            "bf16-mixed",
            "auto: precision bf16-mixed, fused optimiser, 2 threads",
        ),
        (
            {"config": {"trainer": {"precision": "auto"}, "performance": {"name": "fast"}}},
            "32-true",
            "fast",
        ),
    ],
)
def test_what_a_run_was_trained_with(results: dict[str, Any], precision: object, words: str) -> None:
    assert (used_precision(results), described(results)) == (precision, words)


def test_plain_values_are_read_back() -> None:
    assert read_computing(json.loads(json.dumps(GOOD))) == HALF
