"""The README's commands work as typed, made small by overrides that are added at their end."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SMALL = [
    "data.size=32",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "loader.batch_size=12",
    "trainer.enable_progress_bar=false",
    "callbacks.panels.count=1",
    "logger=none",
]
FEW = ["data.train=12", "data.val=12", "data.test=12", "data.seed=3"]


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    """Each command line of the README's shell blocks."""
    lines = [line.strip() for block in blocks("sh") for line in block.splitlines()]
    return [line.split("   #")[0].strip() for line in lines if line and not line.startswith("#")]


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
    assert [command.split("#")[0].strip() for command in commands()[:2]] == ["make demo", "make test"]
    shown = execute(["make", "--dry-run", "demo", "test"], REPOSITORY)
    assert "scripts/train.py experiment=demo" in shown
    assert "-m pytest" in shown


TRAINING = [command for command in commands() if command.startswith("python scripts/train.py")]


@pytest.mark.slow
@pytest.mark.parametrize("command", TRAINING)
def test_a_training_command_runs_as_typed(command: str, tmp_path: Path, busi_tree: Callable[[int], Path]) -> None:
    words = [sys.executable, str(REPOSITORY / "scripts" / "train.py"), *shlex.split(command)[2:]]
    if "--help" in words or "--cfg" in words:
        assert "tasks" in execute(words, tmp_path)
        return
    small = [*SMALL, *FEW]
    if "experiment=busi" in words:
        root = str(busi_tree(8))
        words = [word.replace("PATH/Dataset_BUSI_with_GT", root) for word in words]
        small = [*SMALL, "data.groups=none", "data.fractions={train: 0.5, val: 0.25, test: 0.25}"]
    shown = execute([*words, *small], tmp_path, TANDEM_CACHE=str(tmp_path / "cache"))
    assert "report:" in shown
    jobs = 27 if "-m" in words else 1
    assert len(list(tmp_path.glob("runs/*/*/results.json"))) == jobs


@pytest.mark.slow
def test_tensorboard_reads_a_run(tmp_path: Path) -> None:
    train = [sys.executable, str(REPOSITORY / "scripts" / "train.py"), *SMALL, *FEW, "logger=tensorboard"]
    execute(train, tmp_path)
    command = next(command for command in commands() if command.startswith("tensorboard"))
    shown = execute([*shlex.split(command), "--inspect"], tmp_path)
    assert "val/segmentation/dice" in shown
    assert "panels" in shown


@pytest.mark.slow
def test_the_readmes_own_loss_trains(tmp_path: Path) -> None:
    (tmp_path / "my_losses.py").write_text(blocks("python")[0])
    yaml = tmp_path / "my_conf" / "loss" / "binary" / "brier.yaml"
    yaml.parent.mkdir(parents=True)
    yaml.write_text(blocks("yaml")[0])
    command = next(command for command in commands() if "my_losses" in command)
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in words[:2])
    assert "report:" in execute([*words[2:], *SMALL, *FEW], tmp_path, **variables)
