"""A finished or interrupted run answers only for the settings and the data that it was trained on."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from tests.train.test_run import configuration

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.files import file_state
from tandem.errors import ConfigError, DataError
from tandem.train.answer import clear, finished_results
from tandem.train.continuation import continue_run
from tandem.train.run import train

OWN = ["experiment=tiny", "data=folder", "data.size=32", "data.root=data", "data.table=table.csv", "logger=none"]
WITHOUT_IMAGES = ["callbacks.panels=null", "callbacks.collapse=null", "name=own", "data.near_duplicates=false"]


def own_configuration(root: Path) -> dict[str, Any]:
    """A resolved tiny configuration on a table of files."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train", [*OWN, *WITHOUT_IMAGES, f"data.root={root}"]))


def correct(table: Path) -> None:
    """Gives one row another label, as a user does who finds a mistake."""
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace("benign", "malignant")
    table.write_text("\n".join(lines) + "\n")


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just written count as unchanged, so that the test need not wait."""
    monkeypatch.setattr(file_state, "SETTLED", 0.0)
    time.sleep(0.05)


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "pytorch_lightning", "lightning_fabric", "torchmetrics", "timm", "matplotlib"):
    sys.modules[name] = None
from tandem.data.files import file_state
file_state.SETTLED = 0.0
from tandem.train import main
main()
"""


def without_torch(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The command in a process that can import no large library."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words], cwd=folder, capture_output=True, text=True, timeout=300
    )


def answered_without_torch(folder: Path, *words: str) -> str:
    """What such a process prints of a finished run."""
    done = without_torch(folder, *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def table_of(printed: str) -> list[str]:
    """The lines from the table on; those of the log before it have the time."""
    lines = printed.splitlines()
    (first,) = (index for index, line in enumerate(lines) if "already finished" in line)
    return lines[first + 1 :]


def test_a_finished_run_answers_without_torch(
    tandem_train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = ["experiment=tiny", "data.train=24", "data.val=12", "data.test=12", "callbacks.panels=null", "logger=none"]
    assert tandem_train(*words).code == 0
    shown = table_of(tandem_train(*words).out)
    assert any("report:" in line for line in shown)
    assert table_of(answered_without_torch(tmp_path, *words)) == shown
    (results,) = tmp_path.glob("runs/tiny/*/results.json")
    results.write_text(results.read_text()[:-40])
    again = without_torch(tmp_path, *words)
    assert again.returncode == 1  # what trains it again needs torch
    assert "results.json is damaged" in again.stdout


def test_corrected_data_are_refused_then_trained_again_and_absent_ones_are_named(
    tandem_train: Callable[..., Any], trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    root = trees.table(tmp_path / "data", 24)
    time.sleep(0.05)
    first = tandem_train(*OWN, *WITHOUT_IMAGES)
    assert first.code == 0, first.err
    (folder,) = (tmp_path / "runs" / "own").iterdir()
    before = (folder / "results.json").read_bytes()
    again = tandem_train(*OWN, *WITHOUT_IMAGES)
    assert "already finished" in again.out
    assert "content is compared" not in again.out
    assert table_of(answered_without_torch(tmp_path, *OWN, *WITHOUT_IMAGES)) == table_of(again.out)
    correct(root / "table.csv")
    shutil.copyfile(root / "images" / "p5.png", root / "images" / "p4.png")
    refused = tandem_train(*OWN, *WITHOUT_IMAGES)
    assert refused.code == 1
    for part in ("images/p4.png, table.csv differ", "name=...", "on_changed_data=retrain"):
        assert part in refused.err
    assert len([line for line in refused.err.splitlines() if line.startswith("error:")]) == 1
    assert (folder / "results.json").read_bytes() == before
    anew = tandem_train(*OWN, *WITHOUT_IMAGES, "on_changed_data=retrain")
    assert anew.code == 0, anew.err
    after = json.loads((folder / "results.json").read_text())
    assert after["hash"] == json.loads(before)["hash"] == folder.name
    assert after["data"]["content"] != json.loads(before)["data"]["content"]
    shutil.move(root, tmp_path / "elsewhere")
    absent = tandem_train(*OWN, *WITHOUT_IMAGES)
    assert absent.code == 0, absent.err
    assert "data not checked" in absent.out


def test_files_of_another_state_and_the_same_bytes_answer(
    trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    root = trees.table(tmp_path / "data", 24)
    config = own_configuration(root)
    first = train(config, tmp_path / "run")
    for path in (root / "images").iterdir():
        path.touch()
    known = finished_results(config, tmp_path / "run")
    assert known is not None
    assert known["hash"] == first["hash"]
    assert known["data"] == first["data"]


SHORT = ["callbacks.panels=null", "callbacks.collapse=null", "trainer.max_epochs=1", "scheduler=none", "augment=none"]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs."""
    folder = tmp_path_factory.mktemp("short")
    train(configuration(*SHORT, "trainer.max_epochs=2"), folder)
    return folder


def test_a_folder_of_other_settings_does_not_answer_and_is_not_resumed(short: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(short, tmp_path / "chosen")
    same, other = (configuration(*SHORT, "trainer.max_epochs=2", f"optimizer.lr={lr}") for lr in ("1e-4", "1e-5"))
    assert finished_results(same, folder) is not None
    with pytest.raises(ConfigError, match=r"other values of optimizer\.lr .*hydra\.run\.dir"):
        finished_results(other, folder)
    (folder / "results.json").unlink()
    assert finished_results(same, folder) is None
    with pytest.raises(ConfigError, match=r"other values of optimizer\.lr"):
        finished_results(other, folder)
    (folder / "identity.json").unlink()  # of an older tandem
    with pytest.raises(ConfigError, match=r"other values of optimizer\.lr"):
        finished_results(other, folder)
    (folder / "last.ckpt").unlink()  # nothing was trained, so nothing can be mistaken
    assert finished_results(other, folder) is None
    assert not (folder / "data.json").exists()


def test_an_unknown_choice_for_changed_data_is_refused(short: Path) -> None:
    with pytest.raises(ConfigError, match="on_changed_data is 'maybe'"):
        finished_results(configuration(*SHORT, "trainer.max_epochs=2", "on_changed_data=maybe"), short)


def test_what_is_cleared_is_what_a_run_leaves(short: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(short, tmp_path / "cleared")
    (folder / "mine.txt").write_text("kept")
    clear(folder)
    assert {path.name for path in folder.iterdir()} == {"mine.txt"}


@pytest.mark.full
def test_a_continued_run_ends_like_an_unbroken_one_and_says_so(short: Path, tmp_path: Path) -> None:
    longer = [*SHORT, "trainer.max_epochs=3"]
    whole = train(configuration(*longer), tmp_path / "whole")
    found = train(configuration(*longer, f"resume_from={short}"), tmp_path / "continued")
    assert found["metrics"] == whole["metrics"]
    assert found["epochs"] == 3
    assert found["resumed_from"] == {"hash": json.loads((short / "results.json").read_text())["hash"], "epoch": 2}
    assert found["hash"] != whole["hash"]
    assert whole["resumed_from"] is None
    rows = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "continued")]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.max_epochs=2"], "has trained 2 epochs already; give a larger"),
        (["trainer.max_epochs=3", "optimizer.lr=0.5"], r"was trained with optimizer\.lr="),
        (["trainer.max_epochs=3", "balance.weights.segmentation=2"], r"was trained with balance\.weights\."),
        (["trainer.max_epochs=3", "network=fpn"], r"was trained with network\.decoder=unet"),
    ],
)
def test_a_run_that_cannot_be_continued_is_refused(
    overrides: list[str], message: str, short: Path, tmp_path: Path
) -> None:
    config = configuration(*SHORT, *overrides, f"resume_from={short}")
    with pytest.raises(ConfigError, match=message):
        continue_run(config, tmp_path / "new")
    assert not (tmp_path / "new" / "last.ckpt").exists()


def test_what_is_no_run_cannot_be_continued(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"resume_from=.*no such folder"):
        continue_run(configuration(f"resume_from={tmp_path / 'none'}"), tmp_path / "new")


def test_changed_data_of_an_interrupted_run_are_named(
    trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    root, folder = trees.table(tmp_path / "data", 24), tmp_path / "run"
    config = own_configuration(root)
    train(config, folder)
    (folder / "results.json").unlink()
    correct(root / "table.csv")
    with pytest.raises(DataError, match=r"began: table\.csv differs; .*on_changed_data=retrain"):
        finished_results(config, folder)
