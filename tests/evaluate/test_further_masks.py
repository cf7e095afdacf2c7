"""Masks of classes and masks with several channels, from training to the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

from tandem.errors import DataError
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import EvaluateSettings
from tandem.predict.command import main as predict

Rows = Callable[[Path], list[dict[str, str]]]


def test_masks_of_classes(
    tmp_path: Path, trees: Any, run_of: Callable[..., Path], asked: Callable[..., EvaluateSettings], rows: Rows
) -> None:
    root = trees.folders(tmp_path / "data", 8)
    for path in sorted(root.glob("*/*_mask.png")):
        mask = trees.box(100)
        mask[4:8, 6:10], mask[0] = 200, 50
        Image.fromarray(mask).save(path)
    values = "data.mask_values={100: liver, 200: spleen, 50: ignore}"
    run = run_of(tmp_path / "run", "data=folder", f"data.root={root}", values, "task=semantic")
    found = evaluate_run(asked(run))
    folder = run / "evaluation" / "test"
    table = rows(folder)
    for name in ("background", "liver", "spleen"):
        true, drawn, hits = (
            sum(int(row[f"semantic.{name}.{cell}"]) for row in table)
            for cell in ("area_true", "area_predicted", "intersection")
        )
        assert found["metrics"][f"test/semantic/dice_of/{name}"] == pytest.approx(2 * hits / (true + drawn), abs=1e-6)
    with Image.open(folder / table[0]["semantic.file"]) as mask:
        classes = np.asarray(mask)
    assert (classes == 0).sum() >= int(
        table[0]["semantic.background.area_predicted"]
    )  # the mask has unknown pixels too
    assert "Worst by mean Dice" in (folder / "report.html").read_text()

    root.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"data.root=\.\.\."):
        evaluate_run(asked(run))
    again = evaluate_run(asked(run, data={"root": str(tmp_path / "moved")}, masks=False, cases=0))
    assert again["metrics"] == found["metrics"]


@pytest.mark.full
def test_several_mask_channels(
    tmp_path: Path, trees: Any, run_of: Callable[..., Path], asked: Callable[..., EvaluateSettings], rows: Rows
) -> None:
    root = trees.folders(tmp_path / "data", 10)
    for path in sorted(root.glob("*/*[02468].png")):
        Image.fromarray(trees.box()).save(path.with_name(f"{path.stem}_hair.png"))
    masks = "data.masks={lesion: '{class}/{id}_mask', hair: '{class}/{id}_hair'}"
    run = run_of(tmp_path / "run", "data=folder", f"data.root={root}", masks, "task=[segmentation,yes_no]")
    found = evaluate_run(asked(run, split="val"))
    table = rows(run / "evaluation" / "val")
    hair = [row for row in table if row["segmentation.hair.dice"]]
    assert 0 < len(hair) <= len(table)
    dice = np.mean([float(row["segmentation.hair.dice"]) for row in hair])
    assert found["metrics"]["val/segmentation/hair/dice_lesion"] == pytest.approx(dice, abs=1e-6)
    assert {row["segmentation.hair.file"].split(".")[-2] for row in table if row["segmentation.hair.file"]} == {"hair"}
    y, p = ([float(row[f"yes_no.malignant.{cell}"]) for row in table] for cell in ("true", "predicted"))
    assert found["metrics"]["val/yes_no/sensitivity"] == pytest.approx(sk.recall_score(y, p), abs=1e-6)


def test_several_numbers(
    tmp_path: Path,
    trees: Any,
    run_of: Callable[..., Path],
    asked: Callable[..., EvaluateSettings],
    rows: Rows,
    in_process: Callable[..., Any],
) -> None:
    root = trees.table(
        tmp_path / "data", 24, age=lambda n: "" if n % 4 == 0 else 40 + n, years=lambda n: "" if n % 3 == 0 else n / 2
    )
    said = ("data.table=table.csv", "data.columns.numbers=[age,years]", "data.columns.masks=null", "task=number")
    share = "data.fractions={train: 0.4, val: 0.2, test: 0.4}"
    run = run_of(tmp_path / "run", "data=folder", f"data.root={root}", share, *said, "tasks.number.column=[age,years]")
    found = evaluate_run(asked(run))
    table = rows(run / "evaluation" / "test")
    errors = []
    for name in ("age", "years"):
        pairs = [
            (float(row[f"number.{name}.predicted"]), float(row[f"number.{name}.true"]))
            for row in table
            if row.get(f"number.{name}.true")
        ]
        assert 1 < len(pairs) < len(table)
        error = [abs(p - y) for p, y in pairs]
        assert found["metrics"][f"test/number/{name}/mae"] == pytest.approx(np.mean(error), rel=1e-5)
        y = np.array([y for _, y in pairs])
        assert found["metrics"][f"test/number/{name}/r2"] == pytest.approx(sk.r2_score(y, [p for p, _ in pairs]))
        errors += error
    assert found["metrics"]["test/number/mae"] == pytest.approx(np.mean(errors), rel=1e-5), "over all known numbers"
    assert "age: Predicted against true value" in (run / "evaluation" / "test" / "report.html").read_text()

    out = tmp_path / "predicted"
    images = next(iter({path.parent for path in sorted(root.rglob("*.png"))}))
    assert in_process(predict)(f"run={run}", f"images={images}", f"out={out}").code == 0
    header, first = (out / "predictions.csv").read_text().splitlines()[:2]
    assert header.split(",")[3:] == ["number.age.predicted", "number.years.predicted"]
    assert all(np.isfinite(float(cell)) for cell in first.split(",")[3:])
