"""The command that writes shards, and a run on them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tandem.write_shards.command import main

REPOSITORY = Path(__file__).parents[2]
SMALL = ("data.size=32", "data.train=24", "data.val=12", "data.test=12", "data.seed=3")
TINY = ("experiment=tiny", "logger=none", "callbacks.panels=null", "trainer.enable_progress_bar=false")


def metrics(folder: Path) -> dict[str, float | str]:
    """All metrics of the only run in a folder; nan as text, so that it equals itself."""
    found = json.loads(next(folder.glob("*/results.json")).read_text())["metrics"]
    return {key: value if value == value else "nan" for key, value in found.items()}


@pytest.fixture
def shards(in_process: Callable[..., Any], tmp_path: Path) -> list[str]:
    """The words after the command in the line that the command prints for training on the shards it wrote."""
    pytest.importorskip("litdata", reason="the extra streamed is not installed")
    outcome = in_process(main)(*SMALL, "out=my shards", "shard_mb=0.02")
    assert outcome.code == 0, outcome.err
    assert "train: 24 images into 3 shards" in outcome.out
    words = shlex.split(outcome.out.splitlines()[-1])
    return words[words.index("data=streamed") :]


@pytest.mark.full  # the batches are compared in tests/data/shards
def test_a_run_on_shards_has_the_numbers_of_one_in_memory(
    tandem_train: Callable[..., Any], tmp_path: Path, shards: list[str]
) -> None:
    assert shards == ["data=streamed", "data.root=my shards", "data.size=32"]
    short = (*TINY, "trainer.max_epochs=1")
    assert tandem_train(*short, *SMALL, "name=memory").code == 0
    done = tandem_train(*short, *shards, "data.shards_at_once=null", "name=shards")
    assert done.code == 0, done.err
    found = metrics(tmp_path / "runs" / "shards")
    assert len(found) > 50
    assert found == metrics(tmp_path / "runs" / "memory")
    again = tandem_train(*short, *shards, "data.shards_at_once=null", "name=shards")
    assert "already finished" in again.out


def test_an_earlier_folder_is_not_replaced(in_process: Callable[..., Any], shards: list[str]) -> None:
    outcome = in_process(main)(*SMALL, "out=my shards")
    assert outcome.error == "out=my shards exists and is not an empty folder: remove it, or choose another one"


def test_the_package_is_named_where_it_is_missing(
    in_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "litdata", None)
    assert "pip install 'tandem-mtl[streamed]'" in in_process(main)(*SMALL, "out=here").error
    assert not (tmp_path / "here").exists()


@pytest.mark.full
def test_a_killed_run_on_shards_ends_like_an_unbroken_one(tmp_path: Path, shards: list[str]) -> None:
    variables = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    script = [sys.executable, str(REPOSITORY / "scripts" / "train.py"), *TINY, *shards, "data.shards_at_once=2"]
    script += ["trainer.max_epochs=4", "loader.workers=1"]

    def typed(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*script, f"name={name}"], cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL)

    assert typed("whole").wait(300) == 0
    process, deadline = typed("cut"), time.time() + 120
    while not list(tmp_path.glob("runs/cut/*/last.ckpt")) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(tmp_path.glob("runs/cut/*/results.json"))
    assert typed("cut").wait(300) == 0
    assert metrics(tmp_path / "runs" / "cut") == metrics(tmp_path / "runs" / "whole")
