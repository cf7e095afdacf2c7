"""The name of a run on a dashboard."""

from pathlib import Path

import pytest

from tandem.jobs.status import write_status
from tandem.trackers.label import LONGEST, label, run_label
from tandem.utils.files import write_json


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ""),
        (["seed=3"], "s3"),
        (["optimizer.lr=0.001", "seed=1"], "lr=.001 s1"),
        (["data=busi", "data.root=/home/me/Dataset_BUSI"], "data=busi,root=Dataset_BUSI"),
        (["task=segmentation", "~augment", "callbacks.panels.count=3", "name=x"], "task=segmentation"),
        (["a.gamma=-0.5", "b.gamma=1"], "a.gamma=-.5,b.gamma=1"),
        (["x=../../etc", "y=a/b\x1b[2J"], "x=etc,y=b-2J"),
    ],
)
def test_overrides_in_short(words: list[str], said: str) -> None:
    assert label(words) == said


def test_a_long_label_is_cut() -> None:
    long = label([f"option_{number}=value" for number in range(20)])
    assert len(long) <= LONGEST
    assert long.endswith("...")


def test_within_a_sweep_only_what_varies_is_said(tmp_path: Path) -> None:
    common = ["experiment=busi", "data.root=x"]
    jobs = {f"hash{seed}": [*common, f"loss.gamma={seed}", f"seed={seed}"] for seed in (0, 1)}
    for name, words in jobs.items():
        (tmp_path / name).mkdir()
        write_status(tmp_path / name, "running", None, 0, words)
    assert run_label(tmp_path / "hash1", {}) == "experiment=busi,root=x,gamma=1 s1"
    planned = {name: {"command": "tandem.train", "overrides": words} for name, words in jobs.items()}
    write_json(tmp_path / "planned.json", planned)
    assert run_label(tmp_path / "hash1", {}) == "gamma=1 s1"
    assert run_label(tmp_path / "other", {}) == "other"
    write_json(tmp_path / "planned.json", {name: {"overrides": ["seed=1", name]} for name in jobs})
    write_status(tmp_path / "hash1", "running", None, 0, ["seed=1", "loss.gamma=2"])
    assert run_label(tmp_path / "hash1", {}) == "gamma=2 s1"
