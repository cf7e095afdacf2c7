"""Decisions in predictions: thresholds, rankdice, files of decisions, and what cannot be combined."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.predict.conftest import blob

import tandem
from tandem.decisions.decision import Decision, as_plain
from tandem.decisions.rankdice import rankdice
from tandem.decisions.steps import Step, processed
from tandem.errors import ConfigError, DataError
from tandem.predict import main
from tandem.runs.decisions import KEY
from tandem.runs.restore import restore
from tandem.utils.artifacts import BEST, DIGESTS

pytest.importorskip("rankseg", reason="the extra rankdice is not installed")

IMAGE = blob(40, 50)


@pytest.fixture
def predict(in_process: Callable[..., Any]) -> Callable[..., Any]:
    """`scripts/predict.py` in this process."""
    run: Callable[..., Any] = in_process(main)
    return run


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder with one image."""
    (tmp_path / "few").mkdir()
    Image.fromarray(IMAGE).save(tmp_path / "few" / "a.png")
    return tmp_path / "few"


def decided(run: Path, **options: Any) -> Any:
    return tandem.load(run, device="cpu", **options).predict(IMAGE)[0]["segmentation"]


def stored(run: Path, place: Path, decision: dict[str, Any]) -> Path:
    """A copy of a run whose checkpoint holds a decision."""
    copy = Path(shutil.copytree(run, place / "stored"))
    (copy / DIGESTS).unlink()
    checkpoint = torch.load(copy / BEST, weights_only=True)
    torch.save({**checkpoint, KEY: {"segmentation": decision}}, copy / BEST)
    return copy


def file_of(run: Path, place: Path, decision: Decision) -> Path:
    file = place / "decisions.json"
    file.write_text(
        json.dumps({"run": restore(run).results["hash"], "decisions": {"segmentation": as_plain(decision)}})
    )
    return file


def test_a_given_threshold_is_that_of_the_mask(run: Path) -> None:
    plain = decided(run)
    at = float(np.median(plain.values))
    found = decided(run, threshold=at)
    np.testing.assert_array_equal(found.mask, plain.values >= np.float32(at))
    assert found.cells["threshold"] == pytest.approx(at)
    assert decided(run, threshold={"segmentation": at}).mask.sum() == found.mask.sum()


def test_rankdice_decides_in_the_size_of_the_image(run: Path) -> None:
    plain, found = decided(run, threshold=0.01), decided(run, threshold=0.01, decide="rankdice")
    np.testing.assert_array_equal(found.values, plain.values)
    expected = rankdice(torch.from_numpy(plain.values)[None], torch.tensor([0.01]))[0].numpy()
    np.testing.assert_array_equal(found.mask, expected)
    assert found.cells["area"] == int(expected.sum())


def test_what_the_checkpoint_holds_is_applied_and_can_be_left_out(run: Path, tmp_path: Path) -> None:
    decision = Decision("threshold", 2.0, (0.45,), steps=((Step("holes"), Step("largest")),), gains=(0.1,), images=12)
    copy = stored(run, tmp_path, as_plain(decision))
    plain, found = decided(run), decided(copy)
    logits = torch.logit(torch.from_numpy(tandem.load(run).predict(IMAGE)[0]["segmentation"].values).double())
    assert logits.isfinite().all()
    expected = processed(found.values[0] >= np.float32(0.45), decision.steps[0])
    np.testing.assert_array_equal(found.mask[0], expected)
    assert not np.allclose(found.values, plain.values)
    np.testing.assert_array_equal(decided(copy, decide="threshold").values, plain.values)
    np.testing.assert_array_equal(decided(copy, decide="threshold").mask, plain.mask)
    np.testing.assert_array_equal(decided(run, decide=file_of(run, tmp_path, decision)).mask, found.mask)


@pytest.mark.parametrize(
    "value",
    [
        5, "import os", {"rule": "threshold"}, {**as_plain(Decision()), "temperature": -1},
        {**as_plain(Decision()), "thresholds": [0.2, 0.3]},
        {**as_plain(Decision()), "steps": [[{"name": "os.system", "share": 0.0}]]},
    ],
)  # fmt: skip
def test_a_checkpoint_that_holds_something_else_is_refused(run: Path, tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError, match=r"best\.ckpt, task 'segmentation', holds a decision whose"):
        restore(stored(run, tmp_path, value))


def test_runs_that_decide_differently_have_no_common_mask(run: Path, tmp_path: Path) -> None:
    copy = stored(run, tmp_path, as_plain(Decision("rankdice")))
    other = copy / "results.json"
    other.write_text(other.read_text().replace(restore(run).results["hash"], "0123456789ab"))
    with pytest.raises(ConfigError, match=r"decide 'segmentation' differently.*decide=threshold"):
        tandem.load([run, copy])
    with pytest.raises(ConfigError, match="holds the decisions of one run, but 2 runs are given"):
        tandem.load([run, copy], decide=file_of(run, tmp_path, Decision("rankdice")))


def test_a_folder_is_not_continued_with_another_decision(
    run: Path, few: Path, predict: Callable[..., Any], tmp_path: Path
) -> None:
    words = (f"run={run}", f"images={few}", f"out={tmp_path / 'out'}")
    assert predict(*words, "decide=rankdice").code == 0
    assert predict(*words, "decide=rankdice").code == 0
    for change in ((), ("decide=rankdice", "threshold=0.3")):
        refused = predict(*words, *change)
        assert refused.code == 1
        assert "holds predictions with other" in refused.err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("threshold=fit", "threshold is 'fit', but must be 'stored', a number"),
        ("threshold=recall:2", "write threshold=sensitivity:0.95"),
        ("threshold={classification: 0.3}", "threshold names 'classification', which has no threshold"),
        ("decide=rankdise", "did you mean 'rankdice'"),
        ("decide=gone.json", "there is no such file"),
    ],
)
def test_mistakes_are_one_line(
    word: str, message: str, run: Path, few: Path, predict: Callable[..., Any], tmp_path: Path
) -> None:
    refused = predict(f"run={run}", f"images={few}", f"out={tmp_path / 'out'}", word)
    assert refused.code == 1
    (line,) = [one for one in refused.err.splitlines() if one.startswith("error: ")]
    assert message in line
    assert not (tmp_path / "out").exists()
