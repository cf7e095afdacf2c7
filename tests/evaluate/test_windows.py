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


@pytest.mark.parametrize("fit", [pytest.param("crop", marks=pytest.mark.full), "native"])
def test_cropped_files_are_seen_whole(
    fit: str,
    tmp_path: Path,
    run_of: Make,
    in_process: Callable[..., Any],
    rows: Rows,
    asked: Callable[..., EvaluateSettings],
) -> None:
    root = mixed_sizes(tmp_path / "data")
    crops = ["data.crop=random", "data.foreground_crops=0.5"] if fit == "native" else []
    run = run_of(tmp_path / "run", *options(root), f"data.fit={fit}", *crops, "task=segmentation")
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
        seen = [min(32 if fit == "native" else min(truth.shape), length) for length in truth.shape]
        if truth.shape == tuple(seen):
            assert row == before[row["id"]], "one window covers the image"
        top, left = ((length - side) // 2 for length, side in zip(truth.shape, seen, strict=True))
        wider += int(drawn.sum() - drawn[top : top + seen[0], left : left + seen[1]].sum())
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
