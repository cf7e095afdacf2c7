"""Shards are written as a whole or not at all, and are the same each time."""

import shutil
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tandem.data.datamodule import DataModule
from tandem.data.loading.crops import Whole
from tandem.data.shards import write
from tandem.data.shards.write import check_out, write_shards
from tandem.data.unchanged import glance, look
from tandem.errors import ConfigError

pytest.importorskip("litdata", reason="the extra streamed is not installed")


def content(root: Path) -> dict[str, bytes]:
    """All files but `shards.json`, which holds their digests and versions."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*") if path.is_file()}


def test_the_same_data_become_the_same_files(everything: DataModule, written: Path, tmp_path: Path) -> None:
    write_shards(everything, {}, tmp_path / "again", 5 * 850 / 1e6)
    assert content(tmp_path / "again") == content(written)


def test_shards_hold_no_path_and_no_option_of_the_source(everything: DataModule, tmp_path: Path) -> None:
    node = {"_target_": "own.Everything", "root": "/home/jane/data", "fit": "pad"}
    made = write_shards(everything, node, tmp_path / "shards", 1)
    assert made.fit == "pad"
    assert "jane" not in (tmp_path / "shards" / "shards.json").read_text()


def test_a_smaller_size_makes_more_shards_which_hold_at_least_a_row(everything: DataModule, tmp_path: Path) -> None:
    made = write_shards(everything, {}, tmp_path / "shards", 1e-6)
    assert sum(name.startswith("train/chunk-") for name in made.files) == 23


def test_an_interrupted_writer_leaves_nothing_and_a_killed_ones_rest_is_removed(
    everything: DataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(write, "_digests", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_shards(everything, {}, tmp_path / "shards", 1)
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]
    (tmp_path / ".shards.killed.part").mkdir()
    write_shards(everything, {}, tmp_path / "shards", 1)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["shards"]


def test_places_and_sizes_that_are_refused(everything: DataModule, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(ConfigError, match="full exists and is not an empty folder"):
        check_out(tmp_path / "full", 64)
    with pytest.raises(ConfigError, match="is a file, but must be a folder"):
        check_out(tmp_path / "full" / "a" / "b", 64)
    for size in (0, -1, float("nan"), float("inf"), 5000):
        with pytest.raises(ConfigError, match=r"shard_mb is .*, but must be a number of MB above 0, at most 4294"):
            check_out(tmp_path / "new", size)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(ConfigError, match="GB are free: choose another disk"):
        write_shards(everything, {}, tmp_path / "new", 64)


def test_two_processes_do_not_write_the_same_folder(everything: DataModule, tmp_path: Path) -> None:
    with write._alone(tmp_path / "shards"), pytest.raises(ConfigError, match="is being written by another process"):
        write_shards(everything, {}, tmp_path / "shards", 1)


def test_a_run_knows_its_shards_again_without_reading_them(
    written: Path, read: Callable[..., DataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tandem.runs.provenance import keep_data
    from tandem.utils.digests import check_intact, recorded

    monkeypatch.setattr("tandem.data.files.file_state.SETTLED", 0.0)
    node = {"_target_": "tandem.data.streamed.Streamed", "root": str(written), "size": 12}
    run = tmp_path / "run"
    run.mkdir()
    with recorded(run):
        keep_data(read(written), run)
    assert glance(node, run).word == "same"
    with monkeypatch.context() as patch:
        patch.setattr("tandem.data.shards.verify.digest", None)  # remembered: no shard is read again
        patch.setattr("tandem.data.files.inventory.digest", None)
        read(written).inventory()
    for path in written.rglob("*.bin"):
        path.touch()
    assert look(node, run).word == "same"
    check_intact(run / "files.json")
    shard = written / "train" / "chunk-0-3.bin"
    shard.write_bytes(shard.read_bytes()[::-1])
    found = look(node, run)
    assert (found.word, found.reason) == ("changed", "train/chunk-0-3.bin differ")


def test_random_squares_are_refused(everything: DataModule, tmp_path: Path) -> None:
    data, train = copy(everything), everything.splits["train"]
    squares = replace(train, whole=Whole((), torch.zeros(len(train), 2, dtype=torch.int64), train.images.shape[-1]))
    data.splits = {**everything.splits, "train": squares}
    with pytest.raises(ConfigError, match=r"data\.crop=random draws squares .* set data\.crop=centre"):
        write_shards(data, {}, tmp_path / "out", 1.0)
    assert not (tmp_path / "out").exists()
