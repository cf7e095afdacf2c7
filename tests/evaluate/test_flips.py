"""`flips=true`: an evaluation with mirrored copies has a folder of its own, and says so."""

import json
from pathlib import Path

import pytest
from tests.evaluate.conftest import read_rows, settings

from tandem.errors import ConfigError
from tandem.evaluate.command import evaluate_run


def test_it_has_its_own_folder_and_numbers(copied: Path) -> None:
    plain = evaluate_run(settings(copied, cases=0, page=False, masks=False))
    flipped = evaluate_run(settings(copied, flips=True, masks=False))
    folder = copied / "evaluation" / "test-flips"
    assert json.loads((folder / "metrics.json").read_text())["flips"] is True
    assert (flipped["flips"], flipped["folder"], "flips" in plain) == (True, "test-flips", False)
    assert flipped["metrics"]["test/segmentation/dice"] != plain["metrics"]["test/segmentation/dice"]
    assert "averaged over each image and its mirrored copies" in (folder / "report.html").read_text()
    assert [row["id"] for row in read_rows(folder)] == [row["id"] for row in read_rows(folder.with_name("test"))]


def test_windows_are_refused(copied: Path) -> None:
    with pytest.raises(ConfigError, match="flips=true and windows do not work together; leave one of them out"):
        settings(copied, flips=True, windows="auto")
