"""A refused job leaves nothing but the list of faults that its error names."""

from pathlib import Path

import pytest

from tandem.jobs.refused import is_new, remove_refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job's folder as Hydra leaves it."""
    job = tmp_path / "runs" / "name" / "hash"
    (job / ".hydra").mkdir(parents=True)
    (job / "train.log").write_text("")
    return job


def test_the_folder_and_empty_ones_above_are_removed(folder: Path, tmp_path: Path) -> None:
    assert is_new(folder)
    remove_refused(folder, [folder.parent, tmp_path / "runs"])
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_faults_stays_and_the_folder_is_still_new(folder: Path) -> None:
    (folder / "faults.txt").write_text("a.png is empty\n")
    remove_refused(folder, [folder.parent])
    assert [path.name for path in folder.iterdir()] == ["faults.txt"]
    assert is_new(folder)


def test_what_training_wrote_stays(folder: Path) -> None:
    (folder / "last.ckpt").write_bytes(b"x")
    remove_refused(folder)
    assert len(list(folder.iterdir())) == 3
