"""The README's commands work as typed, made small by overrides that are added at their end."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


PYTHON = [command for command in commands() if command.startswith("python scripts/")]
ELSEWHERE = ("name=focal", "experiment=collapse", "experiment=recovered")
"""Parts of training commands that run whole in another test: a sweep for its study, the collapse with its watch."""
NEEDS_NETWORK = ("data.download=true",)
JOBS = {"gamma=1,2,3 ": 6, "glob(*)": 19, "data.fold=0,1,2": 3, "study=seeds": 5}
"""How many jobs a sweep has, told by a part of its command."""


@pytest.fixture
def typed(in_process: Callable[..., Any]) -> Callable[[str, list[str]], str]:
    """Runs a command of the README in this process, with further words; gives what it printed."""

    def run(command: str, more: list[str]) -> str:
        _, script, *words = shlex.split(command)
        home = re.findall(r"from ([\w.]+) import main", (REPOSITORY / script).read_text(encoding="utf-8"))[0]
        module = importlib.import_module(home)
        done = in_process(module.main)(*words, *more)
        assert done.code == 0, done.out[-3000:] + done.err[-3000:]
        return str(done.out)

    return run


@pytest.fixture
def data_folder(tmp_path: Path, busi_tree: Callable[[int], Path], trees: Any) -> Callable[[str], str]:
    """Puts a small data set where a command of the README says PATH."""

    def place(command: str) -> str:
        busi_tree(8) if "Dataset_BUSI" in command else None
        trees.folders(tmp_path / "folder") if "PATH/folder" in command else None
        trees.table(tmp_path / "table", patient=lambda number: f"p{number // 2}") if "PATH/table" in command else None
        trees.nnunet(tmp_path / "nnunet") if "PATH/nnunet" in command else None
        trees.coco(tmp_path / "coco") if "PATH/coco" in command else None
        return command.replace("PATH/", f"{tmp_path}/")

    return place


@pytest.mark.full
@pytest.mark.parametrize(
    "command",
    [command for command in PYTHON if "train.py" in command and not any(part in command for part in ELSEWHERE)],
)
def test_a_training_command_runs_as_typed(
    command: str, tmp_path: Path, typed: Callable[[str, list[str]], str], data_folder: Callable[[str], str]
) -> None:
    if "hydra/launcher=" in command:  # sweeps through each launcher are in tests/launchers
        assert "_target_: hydra_plugins.tandem_launchers" in typed(command, ["--cfg", "hydra"])
        return
    if "--help" in command or "--cfg" in command:
        assert "tasks" in typed(command, [])
        return
    if any(word in command for word in NEEDS_NETWORK):
        assert typed(command, ["--cfg", "job"])
        return
    small = [*SMALL, *([] if "PATH" in command or "data=" in command else FEW)]
    if "PATH" in command:
        small += ["data.fractions={train: 0.5, val: 0.25, test: 0.25}"]
    if "Dataset_BUSI" in command:
        small += ["data.groups=none"]
    shown = typed(data_folder(command), small)
    assert "report:" in shown
    jobs = next((count for part, count in JOBS.items() if part in command), 1)
    assert len(list(tmp_path.glob("runs/*/*/results.json"))) == jobs


@pytest.mark.full
def test_what_follows_a_training_runs_as_typed(
    tmp_path: Path, typed: Callable[[str, list[str]], str], data_folder: Callable[[str], str]
) -> None:
    training = next(command for command in PYTHON if "experiment=busi" in command and "-m" not in command)
    small = [*SMALL, "data.fractions={train: 0.5, val: 0.25, test: 0.25}", "data.groups=none"]
    typed(data_folder(training), small)
    (run,) = tmp_path.glob("runs/busi/*/")
    quick = {"export.py": ["format=torch"], "evaluate.py": ["samples=20", "cases=1"]}
    after = [command for command in PYTHON if "HASH" in command]
    assert {Path(shlex.split(command)[1]).name for command in after} == {"evaluate.py", "predict.py", "export.py"}
    for command in after:
        words = next((words for script, words in quick.items() if script in command), [])
        assert typed(data_folder(command.replace("HASH", run.name)), words) is not None
    assert (run / "evaluation" / "test" / "report.html").exists()
    assert (tmp_path / "predicted" / "predictions.csv").exists()


@pytest.mark.full
def test_what_follows_a_sweep_runs_as_typed(tmp_path: Path, typed: Callable[[str, list[str]], str]) -> None:
    sweep = next(command for command in PYTHON if "name=focal" in command)
    typed(sweep, [*SMALL, *FEW, "network.backbone=small_cnn"])
    after = [command for command in PYTHON if "scripts/study.py" in command]
    assert after
    for command in after:
        assert typed(command, [])
    assert (tmp_path / "runs" / "focal" / "study" / "report.html").exists()


OTHERS = {
    "doctor.py": [],
    "explain_loss.py": ["pictures=8", "data.train=12", "data.val=12", "data.test=12", "data.size=32"],
    "audit_data.py": ["data.size=32", "data.groups=none", "data.fractions={train: 0.5, val: 0.25, test: 0.25}"],
    "show_data.py": ["data.size=32", "data.groups=none", "data.fractions={train: 0.5, val: 0.25, test: 0.25}"],
    "find_lr.py": [*SMALL, *FEW, "network.backbone=small_cnn"],
    "search.py": [*SMALL, *FEW, "network.backbone=small_cnn", "search.n_trials=1"],
}
"""Further commands, and what makes them small."""


@pytest.mark.full
@pytest.mark.parametrize("command", [command for command in PYTHON if Path(shlex.split(command)[1]).name in OTHERS])
def test_another_command_runs_as_typed(
    command: str, typed: Callable[[str, list[str]], str], data_folder: Callable[[str], str]
) -> None:
    assert typed(data_folder(command), OTHERS[Path(shlex.split(command)[1]).name])


@pytest.mark.full
def test_tensorboard_reads_a_run(tmp_path: Path) -> None:
    train = [sys.executable, str(REPOSITORY / "scripts" / "train.py"), *SMALL, *FEW, "logger=tensorboard"]
    execute(train, tmp_path)
    command = next(command for command in commands() if command.startswith("tensorboard"))
    shown = execute([*shlex.split(command), "--inspect"], tmp_path)
    assert "val/segmentation/dice" in shown
    assert "panels" in shown


@pytest.mark.full
def test_the_readmes_own_loss_trains(tmp_path: Path) -> None:
    (tmp_path / "my_losses.py").write_text(blocks("python")[0])
    yaml = tmp_path / "my_conf" / "loss" / "binary" / "brier.yaml"
    yaml.parent.mkdir(parents=True)
    yaml.write_text(blocks("yaml")[0])
    command = next(command for command in commands() if "my_losses" in command)
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in words[:2])
    assert "report:" in execute([*words[2:], *SMALL, *FEW], tmp_path, **variables)
