"""The README is short, opens with the two commands, and everything in it works as typed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import Typist, blocks, commands

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"


def environment(**extra: str) -> dict[str, str]:
    """One thread, so that tests side by side do not wait for each other."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **extra,
    }


def execute(words: list[str], cwd: Path, **extra: str) -> str:
    """Runs a command; gives what it printed, and fails where it fails."""
    done = subprocess.run(words, cwd=cwd, env=environment(**extra), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_readme_opens_with_the_two_commands_and_make_knows_them() -> None:
    assert commands(README)[:2] == ["make demo", "make test"]
    shown = execute(["make", "--dry-run", "demo", "test"], REPOSITORY)
    assert "scripts/train.py experiment=demo" in shown
    assert "-m pytest" in shown


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150
    assert {block.language for block in blocks(README)} <= {"sh", "yaml", "python"}, "so that each block is run"


def test_all_of_the_readme_works_as_typed(
    tmp_path: Path, in_process: Callable[..., Any], trees: Any, busi_tree: Callable[[int], Path]
) -> None:
    quick = ["network.backbone=small_cnn", "logger=none"]
    Typist(tmp_path, in_process, trees, busi_tree, quick).page(README)
    assert len(list(tmp_path.glob("runs/lesions/*/results.json"))) == 1
    assert len(list(tmp_path.glob("runs/weights/*/results.json"))) == 2
    assert (tmp_path / "runs" / "weights" / "study" / "report.html").exists()
    assert (tmp_path / "predicted" / "predictions.csv").exists()


@pytest.mark.full
def test_make_docs_builds_the_site() -> None:
    assert "-m docs.build build/docs" in execute(["make", "--dry-run", "docs"], REPOSITORY)
