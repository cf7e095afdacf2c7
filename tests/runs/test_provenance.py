"""The record of a run's data, versions and code."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tandem.data.datamodule import DataModule
from tandem.data.samples import Samples
from tandem.errors import DataError
from tandem.runs.provenance import PACKAGES, environment, git_state, keep_data, read_data
from tandem.utils.files import read_json


def module(source: Any) -> DataModule:
    """A data module that was set up."""
    data = DataModule(source, None, batch_size=4, workers=0, seed=0)
    data.setup()
    return data


def test_splits_and_fingerprint_are_kept(tmp_path: Path, tiny_source: Any) -> None:
    data = module(tiny_source)
    kept = keep_data(data, tmp_path)
    assert kept == data.fingerprint()
    assert read_json(tmp_path / "data.json") == {
        "name": "tiny",
        "info": {
            "name": "tiny",
            "classes": ["normal", "benign", "malignant"],
            "channels": 1,
            "mask_channels": ["lesion"],
            "mask_classes": [],
            "findings": [],
            "columns": [],
        },
        "rows": {"train": 13, "val": 6, "test": 5},
        "fingerprint": kept,
    }
    lines = (tmp_path / "splits.csv").read_text().splitlines()
    assert lines[:3] == ["id,split,class,group", "train/0,train,normal,", "train/1,train,benign,"]
    assert len(lines) == 1 + 13 + 6 + 5


def test_the_same_data_again_are_accepted_and_nothing_is_rewritten(tmp_path: Path, tiny_source: Any) -> None:
    first = keep_data(module(tiny_source), tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert keep_data(module(tiny_source), tmp_path) == first
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def change(samples: Samples, what: str) -> Samples:
    """A split with one thing changed."""
    parts = {name: getattr(samples, name).clone() for name in ("images", "labels", "masks")}
    ids = samples.ids
    if what == "pixel":
        parts["images"][2, 0, 0, 0] ^= 1
    elif what == "mask":
        parts["masks"][2, 0, 0, 0] ^= 1
    elif what == "label":
        parts["labels"][2] = -100
    elif what == "name":
        ids = ("other", *ids[1:])
    elif what == "order":
        parts = {name: part.flip(0) for name, part in parts.items()}
        ids = ids[::-1]
    return Samples(**parts, ids=ids)


@pytest.mark.parametrize("what", ["pixel", "mask", "label", "name", "order"])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_changed_data_are_refused_by_split(tmp_path: Path, tiny_source: Any, split: str, what: str) -> None:
    data = module(tiny_source)
    keep_data(data, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    data.splits = {**data.splits, split: change(data.splits[split], what)}
    with pytest.raises(DataError, match=rf"^data 'tiny' changed since this run began \({split} differ\); give the new"):
        keep_data(data, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_changed_files_are_refused_even_if_the_pixels_are_the_same(tmp_path: Path, tiny_source: Any) -> None:
    tiny_source.files_fingerprint = "a"
    keep_data(module(tiny_source), tmp_path)
    tiny_source.files_fingerprint = "b"
    with pytest.raises(DataError, match=r"\(files differ\)"):
        keep_data(module(tiny_source), tmp_path)
    tiny_source.files_fingerprint = None
    with pytest.raises(DataError, match=r"\(files differ\)"):
        keep_data(module(tiny_source), tmp_path)


def test_several_changes_are_all_named(tmp_path: Path, tiny_source: Any) -> None:
    data = module(tiny_source)
    keep_data(data, tmp_path)
    data.splits = {split: change(samples, "pixel") for split, samples in data.splits.items()}
    with pytest.raises(DataError, match=r"\(test, train, val differ\)"):
        keep_data(data, tmp_path)


def test_the_environment_is_json_and_names_the_packages() -> None:
    found = environment()
    assert set(found) == {"versions", "device", "processor", "threads", "platform", "git"}
    assert set(found["versions"]) == {"python", *PACKAGES}
    assert found["versions"]["torch"] == torch.__version__.split("+")[0]
    assert found["versions"]["numpy"] == np.__version__
    assert all(found["versions"].values())
    assert found["threads"] == torch.get_num_threads()
    assert json.loads(json.dumps(found)) == found


def test_a_missing_package_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.runs.provenance.PACKAGES", ("no-such-package",))
    assert environment()["versions"]["no-such-package"] is None


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[..., str]:
    """Runs git in a fresh checkout with one file, and gives what it prints."""

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("1")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    return git


def test_the_state_of_a_checkout(tmp_path: Path, checkout: Callable[..., str]) -> None:
    commit = checkout("rev-parse", "HEAD")
    assert git_state(tmp_path / "code") == {"commit": commit, "changed": False}
    (tmp_path / "code" / "a.py").write_text("2")
    assert git_state(tmp_path / "code") == {"commit": commit, "changed": True}


def test_a_new_file_is_a_change_too(tmp_path: Path, checkout: Callable[..., str]) -> None:
    (tmp_path / "code" / "b.py").write_text("1")
    state = git_state(tmp_path / "code")
    assert state is not None
    assert state["changed"]


def test_an_installed_package_inside_somebody_elses_checkout_has_no_state(
    tmp_path: Path, checkout: Callable[..., str]
) -> None:
    package = tmp_path / ".venv" / "site-packages" / "tandem"
    package.mkdir(parents=True)
    (package / "record.py").write_text("1")
    (tmp_path / ".gitignore").write_text(".venv")
    assert git_state(package) is None


def test_outside_a_checkout_there_is_no_state(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "not there") is None


def test_without_git_there_is_no_state(
    tmp_path: Path, checkout: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path / "code") is None


def test_all_faults_of_refused_data_are_listed_in_a_file(tiny_source: Any, tmp_path: Path) -> None:
    from tandem.data.files.faults import refuse

    def broken() -> None:
        refuse([f"'{number}.png' is damaged: download it again" for number in range(30)], 40)

    tiny_source.load = broken
    data = DataModule(tiny_source, None, batch_size=4, workers=0, seed=0)
    with pytest.raises(DataError, match=r"30 of 40 images cannot be used(.|\n)*all of them: .*faults\.txt"):
        read_data(data, tmp_path)
    assert len((tmp_path / "faults.txt").read_text().splitlines()) == 30


def test_skipped_faults_are_listed_and_warned_of(
    tiny_source: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_source.skipped = ("'a.png' is damaged", "'b.png' is damaged")
    data = DataModule(tiny_source, None, batch_size=4, workers=0, seed=0)
    read_data(data, tmp_path)
    assert (tmp_path / "skipped.txt").read_text() == "'a.png' is damaged\n'b.png' is damaged\n"
    assert "2 faults were skipped, the first: 'a.png' is damaged" in caplog.text
    assert data.splits
