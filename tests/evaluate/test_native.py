"""Dice at the size of the files, from the command line: images of mixed sizes, squashed, padded and cropped."""

import csv
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.errors import ConfigError
from tandem.evaluate.command import evaluate_run, main
from tandem.evaluate.settings import EvaluateSettings
from tandem.metrics.catalogue import CATALOGUE
from tandem.predict.command import main as predict_main

SIZES = [(40, 64), (64, 40), (33, 32), (90, 48), (20, 25), (32, 32)]
"""Landscape, portrait, one pixel off, larger, smaller than the network's square, and as large."""

Rows = Callable[[Path], list[dict[str, str]]]
Make = Callable[..., Path]


def mixed_sizes(root: Path) -> Path:
    """Four images of each size with a disc, a mask with unknown pixels, and two images without a lesion."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number, (height, width) in enumerate(SIZES * 4):
        rows, columns = np.mgrid[:height, :width]
        disc = (rows - height * 0.5) ** 2 + (columns - width * 0.45) ** 2 < (0.3 * min(height, width)) ** 2
        disc &= number not in (6, 13)
        noise = np.random.default_rng(number).integers(0, 60, (height, width))
        mask = np.where(disc, 200, 0).astype(np.uint8)
        mask[:3] = 100
        Image.fromarray((noise + 150 * disc).astype(np.uint8)).save(root / "images" / f"{number:02}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number:02}.png")
    return root


def options(root: Path, values: str = "{200: lesion, 100: ignore}") -> list[str]:
    """Of a tiny run on them."""
    return [
        "data=folder", f"data.root={root}", "data.images='images/{id}'", "data.masks='masks/{id}'", "data.size=32",
        f"data.mask_values={values}", "data.near_duplicates=false",
        "data.fractions={train: 0.4, val: 0.2, test: 0.4}", "optimizer.lr=1e-2", "trainer.max_epochs=2",
    ]  # fmt: skip


def read(path: Path) -> np.ndarray:
    """The pixels of a file."""
    with Image.open(path) as image:
        return np.asarray(image)


def counted(drawn: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """True, predicted and common pixels, one after the other, without unknown ones."""
    true = predicted = both = 0
    for here, there in zip(drawn.ravel().tolist(), truth.ravel().tolist(), strict=True):
        if there != 100:
            true, predicted, both = true + (there == 200), predicted + here, both + (here and there == 200)
    return true, predicted, both


@pytest.mark.parametrize(
    "fit", ["pad", *(pytest.param(fit, marks=pytest.mark.full) for fit in ("crop", "squash", "native"))]
)
def test_dice_of_the_files_is_that_of_the_masks_that_predict_writes(
    fit: str, tmp_path: Path, run_of: Make, in_process: Callable[..., Any], rows: Rows
) -> None:
    root = mixed_sizes(tmp_path / "data")
    run = run_of(tmp_path / "run", *options(root), f"data.fit={fit}", "task=segmentation")
    assert in_process(main)(f"run={run}", "samples=20", "page=false" if fit == "crop" else "page=true").code == 0
    out = tmp_path / "predicted"
    assert in_process(predict_main)(f"run={run}", f"images={root / 'images'}", f"out={out}").code == 0
    dice, iou = {}, {}
    table = rows(run / "evaluation" / "test")
    for row in table:
        drawn = read(out / "masks" / "segmentation" / f"{Path(row['id']).name}.png") > 0
        truth = read(root / "masks" / f"{Path(row['id']).name}.png")
        assert drawn.shape == truth.shape
        true, predicted, both = counted(drawn, truth)
        found = {key: row[f"segmentation.{key}_native"] for key in ("dice", "iou", "area_true", "area_predicted")}
        assert (int(found["area_true"]), int(found["area_predicted"])) == (true, predicted)
        assert int(row["segmentation.known_native"]) == (truth != 100).sum()
        if not true:
            assert found["dice"] == found["iou"] == ""
            continue
        dice[row["id"]], iou[row["id"]] = 2 * both / (true + predicted), both / (true + predicted - both)
        assert float(found["dice"]) == pytest.approx(dice[row["id"]])
    metrics = json.loads((run / "evaluation" / "test" / "metrics.json").read_text())
    assert metrics["metrics"]["test/segmentation/dice_lesion_native"] == pytest.approx(np.mean(list(dice.values())))
    assert metrics["metrics"]["test/segmentation/iou_lesion_native"] == pytest.approx(np.mean(list(iou.values())))
    low, high = metrics["intervals"]["test/segmentation/dice_native"]
    assert low <= metrics["metrics"]["test/segmentation/dice_native"] <= high
    known = {row["id"]: int(row["segmentation.known"]) for row in table}
    for name, cells in known.items():
        height, width = read(root / "masks" / f"{Path(name).name}.png").shape
        share = min(width, height) / max(width, height) if fit == "pad" else 1
        assert cells <= 32 * 32 * share + 32, "padding counts nowhere"
    if fit != "crop":
        page = html.unescape((run / "evaluation" / "test" / "report.html").read_text())
        assert "Dice per image" in page
        assert CATALOGUE["dice_lesion_native"].column_label in page
    with (out / "predictions.csv").open(newline="") as file:
        predicted_of = {row["image"]: row for row in csv.DictReader(file)}
    assert len(predicted_of) == len(SIZES) * 4


def check_ranked_classes(
    run: Path, root: Path, likeliest: Any, plain: Any, asked: Any, rows: Rows, in_process: Callable[..., Any]
) -> None:
    """With `decide=rankdice`, the masks, counts and metrics of evaluation and prediction are those of one decision."""
    pytest.importorskip("rankseg", reason="the extra rankdice is not installed")
    found = evaluate_run(asked(run, page=False, decide="rankdice"))
    table, out = rows(run / "evaluation" / "test"), run / "ranked"
    words = (f"run={run}", f"images={root / 'images'}", f"out={out}", "decide=rankdice")
    assert in_process(predict_main)(*words).code == 0
    for row in table:
        drawn, truth = (
            read(place / f"{Path(row['id']).name}.png") for place in (out / "masks" / "semantic", root / "masks")
        )
        for index, name in enumerate(("background", "lesion")):
            assert int(row[f"semantic.{name}.area_predicted_native"]) == ((drawn == index) & (truth != 100)).sum()
    areas = "semantic.lesion.area_predicted"
    assert [row[areas] for row in table] != [row[areas] for row in likeliest]
    (decisions,) = [one for one in found["tables"]["semantic"] if one["title"] == "Decisions: lesion"]
    assert decisions["head"] == ["", "most probable class", "rankdice"]
    values = {row[0]: row[1:] for row in decisions["rows"]}
    for column, metrics in enumerate((plain, found["metrics"])):
        assert values["Dice per image"][column][0] == pytest.approx(metrics["test/semantic/dice_image/lesion"])
        assert values["Dice (official)"][column][0] == pytest.approx(metrics["test/semantic/dice_of/lesion"])
    means = [values["Dice per image"][column][0] for column in (0, 1)]
    first, (difference, low, high) = values["difference per image"]
    assert first == ""
    assert low <= difference <= high
    assert difference == pytest.approx(means[1] - means[0])
    assert found["decided"] == {"semantic": "rankdice"}
    with pytest.raises(ConfigError, match=r"postprocess needs a task with yes/no masks.*left as they are"):
        evaluate_run(asked(run, page=False, decide="postprocess"))


def test_classes_and_what_is_off(
    tmp_path: Path,
    run_of: Make,
    asked: Callable[..., EvaluateSettings],
    rows: Rows,
    trained_masks: Path,
    in_process: Callable[..., Any],
) -> None:
    root = mixed_sizes(tmp_path / "data")
    values = "{200: lesion, 50: other, 100: ignore}"
    run = run_of(tmp_path / "run", *options(root, values), "data.fit=pad", "task=semantic")
    found = evaluate_run(asked(run, page=False))["metrics"]
    table = rows(run / "evaluation" / "test")
    for name in ("background", "lesion"):
        true, drawn, both = (
            sum(int(row[f"semantic.{name}.{cell}_native"]) for row in table)
            for cell in ("area_true", "area_predicted", "intersection")
        )
        assert found[f"test/semantic/dice_of_native/{name}"] == pytest.approx(2 * both / (true + drawn))
        per_image = [float(cell) for row in table if (cell := row[f"semantic.{name}.dice_native"])]
        assert found[f"test/semantic/dice_image_native/{name}"] == pytest.approx(np.mean(per_image))
    pixels = sum(
        int(row["semantic.background.area_true_native"]) + int(row["semantic.lesion.area_true_native"]) for row in table
    )
    masks = [read(root / "masks" / f"{Path(row['id']).name}.png") for row in table]
    assert pixels == sum(int((mask != 100).sum()) for mask in masks)

    check_ranked_classes(run, root, table, found, asked, rows, in_process)

    off = evaluate_run(asked(run, page=False, native=False))["metrics"]
    assert off == pytest.approx({key: value for key, value in found.items() if "_native" not in key}, nan_ok=True)
    assert not any("_native" in column for column in rows(run / "evaluation" / "test")[0])
    with pytest.raises(ConfigError, match="native=true, but data 'phantom' have no masks in files"):
        evaluate_run(asked(trained_masks, native=True))
    with pytest.raises(ConfigError, match="native is 'yes', but must be auto, true or false"):
        asked(run, native="yes")
