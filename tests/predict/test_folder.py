"""The command on a folder: every number by hand, nothing lost, nothing done twice, nothing outside its folder."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from tests.predict.conftest import BAD, GOOD

from tandem.predict import main
from tandem.predict.table import PredictionsFile
from tandem.runs.restore import TrainedRun, restore
from tandem.runs.views import open_any

Command = Callable[..., Any]


@pytest.fixture
def predict(in_process: Callable[[Callable[[], None]], Command]) -> Command:
    """`scripts/predict.py` in this process."""
    return in_process(main)


def rows(out: Path, name: str = "predictions.csv") -> dict[str, dict[str, str]]:
    with (out / name).open(newline="", encoding="utf-8") as file:
        return {row["image"].removeprefix("./"): row for row in csv.DictReader(file)}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def predicted(run: Path, image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of all images."""
    from tandem.predict.command import predict_folder
    from tandem.predict.settings import PredictSettings

    out = tmp_path_factory.mktemp("predicted") / "out"
    predict_folder(
        PredictSettings((run,), image_folder, out, flips=False, overlays=True, batch_size=4, device="cpu", data={})
    )
    return out


@pytest.fixture(scope="module")
def trained(run: Path) -> TrainedRun:
    """The run, read back."""
    return restore(run)


def by_hand(run: TrainedRun, image: Path) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities and upright map of probabilities, by PIL and torch alone."""
    with Image.open(image) as stored:
        opened = ImageOps.exif_transpose(stored)
    if opened.mode == "I;16":
        deep = Image.fromarray(np.asarray(opened, dtype=np.float32) / 65535)
        small = np.asarray(deep.resize((32, 32), Image.Resampling.BILINEAR))
    else:
        if opened.mode == "RGBA":  # composited on black
            *colours, alpha = np.moveaxis(np.asarray(opened, dtype=np.float64), -1, 0)
            opened = Image.fromarray(np.stack([c * alpha / 255 for c in colours], -1).round().astype(np.uint8))
        grey = (opened.convert("RGBA") if opened.mode == "P" else opened).convert("L")
        small = np.asarray(grey.resize((32, 32), Image.Resampling.BILINEAR)) / np.float32(255)
    with torch.no_grad():
        logits = run.module(torch.from_numpy(small.copy())[None, None])
    shape = (opened.height, opened.width)
    maps = F.interpolate(
        logits["segmentation"].sigmoid(), shape, mode="bilinear", antialias=min(shape) < 32, align_corners=False
    )
    return logits["classification"].softmax(1)[0].numpy(), maps[0, 0].numpy()


@pytest.mark.parametrize("name", GOOD)
def test_every_number_is_that_of_the_run(trained: TrainedRun, image_folder: Path, predicted: Path, name: str) -> None:
    row = rows(predicted)[name]
    classes, maps = by_hand(trained, image_folder / name)
    names = ("normal", "benign", "malignant")
    found = [float(row[f"classification.probability.{label}"]) for label in names]
    np.testing.assert_allclose(found, classes, atol=1e-5)
    assert row["classification.predicted"] == names[int(np.argmax(found))]
    threshold = trained.results["thresholds"]["segmentation"][0]
    assert float(row["segmentation.threshold"]) == pytest.approx(threshold)
    assert (int(row["height"]), int(row["width"])) == maps.shape
    with Image.open(predicted / row["segmentation.file"]) as mask, Image.open(image_folder / name) as image:
        assert (mask.size, mask.mode) == (image.size, "L")
        upright = np.asarray(ImageOps.exif_transpose(mask))
    assert set(np.unique(upright)) <= {0, 255}
    certain = np.abs(maps - threshold) > 1e-5
    np.testing.assert_array_equal((upright == 255)[certain], (maps >= threshold)[certain])
    assert int(row["segmentation.area"]) == (upright == 255).sum()
    assert float(row["segmentation.share"]) == pytest.approx((upright == 255).mean(), abs=1e-6)
    with Image.open(predicted / row["segmentation.file"].replace("masks", "overlays")) as overlay:
        assert overlay.size == upright.shape[::-1]


def test_rows_are_in_order_and_failures_have_reasons(predicted: Path) -> None:
    assert list(rows(predicted)) == sorted(GOOD)
    failed = rows(predicted, "failed.csv")
    assert list(failed) == list(BAD)
    assert "has 2 pages" in failed["pages.tif"]["reason"]
    assert "has 2 pages" in failed["animated.gif"]["reason"]
    assert "is not an image" in failed["a/text.txt"]["reason"]
    assert "truncated or damaged" in failed["broken.png"]["reason"]


def test_a_name_is_no_formula_and_the_same_stem_no_collision(predicted: Path) -> None:
    with (predicted / "predictions.csv").open(newline="", encoding="utf-8") as file:
        first = [row[0] for row in csv.reader(file)]
    assert "./=formula.png" in first
    files = {name: row["segmentation.file"] for name, row in rows(predicted).items()}
    assert files["a/same.jpg"] == "masks/segmentation/a/same.jpg.png"
    assert files["a/same.png"] == "masks/segmentation/a/same.png.png"
    assert files["a/b/deep.png"] == "masks/segmentation/a/b/deep.png"
    assert len(set(files.values())) == len(GOOD)


@pytest.fixture
def few(tmp_path: Path, image_folder: Path) -> Path:
    """Five images and a broken one."""
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("big.png", "broken.png", "colour.png", "grey.png", "small.bmp", "turned.jpg"):
        shutil.copy(image_folder / name, folder)
    return folder


def test_as_typed(run: Path, few: Path, predict: Command, tmp_path: Path) -> None:
    done = predict(f"run={run}", f"images={few}", "out=out")
    assert done.code == 0
    assert "5 images predicted, " in done.out
    assert "1 of 6 images failed; see out/failed.csv for the reasons" in done.out + done.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "predictions.csv", "failed.csv", "masks", "manifest.json",
    }  # fmt: skip
    before = contents(tmp_path / "out")
    again = predict(f"run={run}", f"images={few}", "out=out")
    assert "5 of 6 images are already predicted" in again.out
    assert contents(tmp_path / "out") == before


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that were opened for a network."""
    opened: list[str] = []

    def counting(source: Any, options: Any) -> Any:
        opened.append(Path(source).name)
        return open_any(source, options)

    monkeypatch.setattr("tandem.predict.predictor.open_any", counting)
    return opened


def test_interrupted_and_restarted_it_does_only_what_is_missing(
    run: Path, few: Path, predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    arguments = (f"run={run}", f"images={few}", "batch_size=1")
    assert predict(*arguments, "out=whole").code == 0
    add = PredictionsFile.add

    def interrupted(table: PredictionsFile, row: Any) -> None:
        if row["image"] == "grey.png":
            raise KeyboardInterrupt
        add(table, row)

    with monkeypatch.context() as patch:
        patch.setattr(PredictionsFile, "add", interrupted)
        cut = predict(*arguments, "out=cut")
    assert (cut.code, cut.error) == (130, "interrupted; rerun the same command to predict the remaining images")
    assert list(rows(tmp_path / "cut")) == ["big.png", "colour.png"]
    counted.clear()
    assert predict(*arguments, "out=cut").code == 0
    assert sorted(counted) == ["broken.png", "grey.png", "small.bmp", "turned.jpg"]
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_row_that_was_cut_and_a_mask_that_is_gone_are_done_again(
    run: Path, few: Path, predict: Command, tmp_path: Path, counted: list[str]
) -> None:
    arguments = (f"run={run}", f"images={few}", "out=out", "batch_size=1")
    predict(*arguments)
    before, file = contents(tmp_path / "out"), tmp_path / "out" / "predictions.csv"
    file.write_bytes(file.read_bytes()[:-3])
    (tmp_path / "out" / "masks" / "segmentation" / "colour.png").unlink()
    counted.clear()
    predict(*arguments)
    assert sorted(counted) == ["broken.png", "colour.png", "turned.jpg"]
    assert contents(tmp_path / "out") == before


def test_what_failed_is_tried_again_and_new_images_are_added(
    run: Path, few: Path, predict: Command, tmp_path: Path, image_folder: Path
) -> None:
    predict(f"run={run}", f"images={few}", "out=out")
    shutil.copy(image_folder / "grey.png", few / "broken.png")
    shutil.copy(image_folder / "grey.png", few / "anew.png")
    assert predict(f"run={run}", f"images={few}", "out=out").err == ""
    assert list(rows(tmp_path / "out")) == sorted(path.name for path in few.iterdir())
    assert rows(tmp_path / "out", "failed.csv") == {}


def test_rows_and_masks_follow_the_images(
    run: Path, few: Path, predict: Command, tmp_path: Path, image_folder: Path, counted: list[str]
) -> None:
    predict(f"run={run}", f"images={few}", "out=out")
    before = rows(tmp_path / "out")
    for name in ("grey.png", "colour.png", "small.bmp"):
        (few / name).unlink()
    shutil.copy(few / "turned.jpg", few / "grey.jpg")
    shutil.copy(image_folder / "deep.png", few / "big.png")  # the same name, another content and size
    edited = tmp_path / "out" / "masks" / "segmentation" / "small.png"
    os.utime(edited, ns=(2**62, 2**62))
    counted.clear()
    done = predict(f"run={run}", f"images={few}", "out=out")
    assert sorted(counted) == ["big.png", "broken.png", "grey.jpg"]
    assert f"rows of images that are no longer in {few} left the table: 3" in done.out
    assert "images that have changed and are predicted again: 1" in done.out
    assert "masks of rows that left the table, but were edited since, stay: 1, such as" in done.out
    after = rows(tmp_path / "out")
    assert list(after) == ["big.png", "grey.jpg", "turned.jpg"]
    assert (after["big.png"]["width"], before["big.png"]["width"]) == ("60", "300")
    assert after["turned.jpg"] == before["turned.jpg"]
    masks = {path.name for path in (tmp_path / "out" / "masks" / "segmentation").iterdir()}
    assert masks == {"big.png", "grey.png", "turned.png", "small.png"}
    fresh = predict(f"run={run}", f"images={few}", "out=fresh")
    assert fresh.code == 0
    assert rows(tmp_path / "fresh") == after


def test_an_image_that_was_only_touched_is_not_predicted_again(
    run: Path, few: Path, predict: Command, tmp_path: Path, counted: list[str]
) -> None:
    predict(f"run={run}", f"images={few}", "out=out")
    shutil.copy(few / "grey.png", tmp_path / "copy.png")
    shutil.move(tmp_path / "copy.png", few / "grey.png")  # another inode, other times, the same bytes
    few.rename(tmp_path / "moved")
    counted.clear()
    assert predict(f"run={run}", "images=moved", "out=out").code == 0
    assert counted == ["broken.png"]


def test_masks_and_what_commands_wrote_are_passed_over_with_a_count(
    run: Path, few: Path, predict: Command, tmp_path: Path, trees: Any
) -> None:
    root = trees.folders(tmp_path / "data", count=4)
    (tmp_path / "data" / "linked").symlink_to(few)
    shutil.copytree(run, root / "runs" / "x")
    out = root / "out"
    predict(f"run={run}", f"images={few}", f"out={out}")
    done = predict(f"run={run}", "images=data", "out=other")
    assert sorted(rows(tmp_path / "other")) == sorted(
        [f"{label}/a{number}.png" for label in trees.classes for number in range(4)]
        + [f"linked/{name}" for name in rows(out)]
    )
    assert "passed over 8 masks of other files, such as benign/a0_mask.png (skip_masks=false" in done.out
    assert "files in data/out, a folder of earlier predictions" in done.out
    assert "files in data/runs/x, the folder of a run" in done.out
    assert predict(f"run={run}", "images=data/benign", "out=all", "skip_masks=false").code == 0
    assert len(rows(tmp_path / "all")) == 8


def test_other_settings_or_files_in_the_folder_are_refused(
    run: Path, few: Path, predict: Command, tmp_path: Path, other: Path
) -> None:
    predict(f"run={run}", f"images={few}", "out=out")
    before = contents(tmp_path / "out")
    for setting in ("flips=true", "overlays=true", "data.size=40"):
        error = predict(f"run={run}", f"images={few}", "out=out", setting).error
        assert error.startswith("out=out holds predictions with other settings (see manifest.json); set another out=")
    error = predict(f"run={other}", f"images={few}", "out=out").error
    assert "holds predictions with other runs" in error
    assert contents(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "predictions.csv").write_text("precious")
    assert (
        "out=mine holds predictions.csv, but no manifest.json"
        in predict(f"run={run}", f"images={few}", "out=mine").error
    )
    assert (tmp_path / "mine" / "predictions.csv").read_text() == "precious"


def test_out_may_lie_in_images_and_nothing_is_written_elsewhere(run: Path, few: Path, predict: Command) -> None:
    before = contents(few)
    predict(f"run={run}", f"images={few}", f"out={few / 'out'}")
    predict(f"run={run}", f"images={few}", f"out={few / 'out'}")
    assert len(rows(few / "out")) == 5
    assert {name: value for name, value in contents(few).items() if not name.startswith("out")} == before


def test_not_one_image_is_an_error(run: Path, predict: Command, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    done = predict(f"run={run}", "images=images", "out=out")
    assert done.code == 1
    assert "none of 1 files could be predicted; see out/failed.csv for the reasons" in done.err
    assert list(rows(tmp_path / "out", "failed.csv")) == ["a.png"]


def test_one_image_alone(run: Path, few: Path, predict: Command, tmp_path: Path) -> None:
    assert predict(f"run={run}", f"images={few / 'grey.png'}", "out=out").code == 0
    assert list(rows(tmp_path / "out")) == ["grey.png"]


def test_a_name_that_is_too_long_fails_alone(run: Path, few: Path, predict: Command, tmp_path: Path) -> None:
    long = "x" * 250 + ".png"
    shutil.copy(few / "grey.png", few / long)
    done = predict(f"run={run}", f"images={few}", "out=out")
    assert done.code == 0
    assert "too long" in rows(tmp_path / "out", "failed.csv")[long]["reason"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text(run: Path, few: Path, predict: Command, tmp_path: Path) -> None:
    shutil.copy(few / "grey.png", os.fsdecode(os.fsencode(few) + b"/caf\xe9.png"))
    assert predict(f"run={run}", f"images={few}", "out=out").code == 0
    assert "caf\\udce9.png" in rows(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["images=gone"], "images=gone: no such folder or file"),
        (["run=gone"], "run=gone: there is no such folder"),
        (["run=gone/*"], "run=gone/*: no folder matches this pattern"),
        (["run=[]"], "run is [], but must be a run folder"),
        (["batch_size=0"], "batch_size is 0, but must be at least 1"),
        (["device=cpuu"], "device is 'cpuu': did you mean 'cpu'?"),
        (["data.size=4"], "data.size is 4 for run="),
        (["data.grey_range=[5,5]"], "data.grey_range is [5, 5], but must be [black, white]"),
        (["data.scale=4"], "unknown key 'data.scale'"),
        (["images=empty"], "images=empty contains no files"),
        (["out=file"], "out=file is a file, but must be a folder"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, few: Path, predict: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    done = predict(f"run={run}", f"images={few}", "out=out", *arguments)
    assert done.code == 1
    assert done.error.startswith(message)
    assert not (tmp_path / "out").exists()


def test_deep_grey_levels_are_read_as_the_run_was_told(run: Path, predict: Command, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    levels = np.random.default_rng(0).integers(0, 4096, (32, 32)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "images" / "a.png")
    Image.fromarray((levels / 4095 * 255).round().astype(np.uint8)).save(tmp_path / "images" / "b.png")
    predict(f"run={run}", "images=images", "out=out", "data.grey_range=[0,4095]")
    one, other = rows(tmp_path / "out").values()
    for label in ("normal", "benign", "malignant"):
        probabilities = [float(row[f"classification.probability.{label}"]) for row in (one, other)]
        assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-3), "up to the rounding to 8 bits"
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]["data"] == {"grey_range": [0, 4095]}
