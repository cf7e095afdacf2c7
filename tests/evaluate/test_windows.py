"""Windows in evaluation: Dice of the files is that of the masks that predict writes, and one window changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.evaluate.test_native import Make, Rows, counted, mixed_sizes, options, read

from tandem.errors import ConfigError
from tandem.evaluate.command import evaluate_run, main
from tandem.evaluate.settings import EvaluateSettings
from tandem.predict.command import main as predict_main


def test_cropped_files_are_seen_whole(
    tmp_path: Path, run_of: Make, in_process: Callable[..., Any], rows: Rows, asked: Callable[..., EvaluateSettings]
) -> None:
    root = mixed_sizes(tmp_path / "data")
    run = run_of(tmp_path / "run", *options(root), "data.fit=crop", "task=segmentation")
    out, folder = tmp_path / "predicted", run / "evaluation" / "test"
    plain = evaluate_run(asked(run, page=False))
    before = {row["id"]: row for row in rows(folder)}
    assert in_process(main)(f"run={run}", "samples=20", "cases=0", "windows=auto").code == 0
    assert in_process(predict_main)(f"run={run}", f"images={root / 'images'}", f"out={out}", "windows=auto").code == 0
    wider = 0
    for row in rows(folder):
        truth = read(root / "masks" / f"{Path(row['id']).name}.png")
        drawn = read(out / "masks" / "segmentation" / f"{Path(row['id']).name}.png") > 0
        true, predicted, both = counted(drawn, truth)
        found = [int(row[f"segmentation.{key}_native"]) for key in ("area_true", "area_predicted", "intersection")]
        assert found == [true, predicted, both]
        if truth.shape[0] == truth.shape[1]:
            assert row == before[row["id"]], "one window covers the image"
        height, width = truth.shape
        rest = (max(height, width) - min(height, width)) // 2
        outside = (
            (drawn[:rest], drawn[height - rest :]) if height > width else (drawn[:, :rest], drawn[:, width - rest :])
        )
        wider += sum(int(part.sum()) for part in outside) if rest else 0
    assert wider, "pixels outside the crop are seen"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["windows"] == 0.5
    assert "windows with an overlap of 0.5" in (folder / "report.html").read_text()
    for key, value in plain["metrics"].items():
        if "native" not in key:
            assert metrics["metrics"][key] == pytest.approx(value, nan_ok=True), "the network's square stays"
    with pytest.raises(ConfigError, match="which native=false leaves out"):
        asked(run, native=False, windows="auto")


def test_windows_are_refused_where_there_are_no_files(
    trained_masks: Path, asked: Callable[..., EvaluateSettings]
) -> None:
    with pytest.raises(ConfigError, match="windows are for masks at the size of the files") as error:
        evaluate_run(asked(trained_masks, windows="auto"))
    assert "\n" not in str(error.value)
