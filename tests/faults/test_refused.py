"""A refused command says why in one line and leaves nothing behind."""

from pathlib import Path
from typing import Any

import pytest

TINY = ("experiment=tiny", "data.train=24", "data.val=12", "data.test=12", "data.seed=3", "logger=none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trainer.max_epochs=0", "trainer.max_epochs is 0"),
        ("optimizer.lr=-1", "optimizer.lr is -1"),
        ("data.without_mask=1", "no image of the split 'train' has a target for task 'segmentation'"),
        ("monitor=val/segmentation/dcie mode=max", "which nothing logs: did you mean"),
        ("name=a/b loader.batch_size=0", "loader.batch_size is 0"),
        ("hydra.run.dir=elsewhere trainer.max_epochs=0", "trainer.max_epochs is 0"),
        ("runs=", "runs is empty"),
        ("runs=file", "runs is 'file', but file is a file"),
        ("runs= -m seed=1,2", "runs is empty"),
    ],
)
def test_a_refused_command_leaves_no_folder(words: str, message: str, tandem_train: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = tandem_train(*TINY, *words.split(" "))
    assert done.code == 1
    assert message in done.error
    left = {path.name for path in tmp_path.iterdir()} - {"cache"}
    assert left - {"elsewhere"} == {"file"}
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_was_there_is_kept(tandem_train: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "note.txt").write_text("kept")
    assert "trainer.max_epochs is 0" in tandem_train(*TINY, "hydra.run.dir=mine", "trainer.max_epochs=0").error
    assert (folder / "note.txt").read_text() == "kept"
    assert "trainer.max_epochs is 0" in tandem_train(*TINY, "hydra.run.dir=.", "trainer.max_epochs=0").error
    assert (folder / "note.txt").read_text() == "kept"


def test_runs_beside_the_refused_one_are_kept(tandem_train: Any, tmp_path: Path) -> None:
    other = tmp_path / "runs" / "tiny" / "other"
    other.mkdir(parents=True)
    assert "loader.workers is -1" in tandem_train(*TINY, "name=tiny", "loader.workers=-1").error
    assert [path.name for path in (tmp_path / "runs" / "tiny").iterdir()] == ["other"]
