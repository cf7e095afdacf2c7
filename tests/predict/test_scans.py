"""Predictions of DICOM and NIfTI images: masks in the file's own geometry, areas in square millimetres."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from tests.data.files.scans import dicom, nifti
from tests.predict.conftest import blob

from tandem.data.files.images import read_raster
from tandem.data.files.mask_names import masks_by_name
from tandem.predict import main
from tandem.predict.table import PredictionsFile

Command = Callable[..., Any]


@pytest.fixture
def predict(in_process: Callable[[Callable[[], None]], Command]) -> Command:
    """`scripts/predict.py` in this process."""
    return in_process(main)


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "predictions.csv").open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def test_masks_have_the_geometry_of_the_image(run: Path, tmp_path: Path, predict: Command) -> None:
    pixels = blob(40, 28)
    affine = np.array([[0, 0.5, 0, 7], [-0.25, 0, 0, 8], [0, 0, 2, 9], [0, 0, 0, 1.0]])
    nifti(tmp_path / "images" / "a.nii.gz", pixels.reshape(40, 28, 1), affine, xyzt_units=2)
    nifti(tmp_path / "images" / "none.nii", pixels.T)
    dicom(tmp_path / "images" / "1.2.840.31", pixels, PixelSpacing=[0.5, 0.25])
    Image.fromarray(pixels).save(tmp_path / "images" / "c.png")
    predict(f"run={run}", f"images={tmp_path}/images", f"out={tmp_path}/out", "overlays=true", "device=cpu")
    found = rows(tmp_path / "out")
    assert {name: row["segmentation.file"] for name, row in found.items()} == {
        "1.2.840.31": "masks/segmentation/1.2.840.31.png",
        "a.nii.gz": "masks/segmentation/a.nii.gz",
        "none.nii": "masks/segmentation/none.nii.gz",
        "c.png": "masks/segmentation/c.png",
    }
    image, mask = (nibabel.load(tmp_path / part / "a.nii.gz") for part in ("images", "out/masks/segmentation"))
    assert mask.shape == image.shape == (40, 28, 1)
    np.testing.assert_array_equal(mask.affine, image.affine)
    assert mask.header.get_xyzt_units() == image.header.get_xyzt_units()
    drawn = read_raster(tmp_path / "out" / "masks" / "segmentation" / "a.nii.gz").pixels
    assert drawn.shape == read_raster(tmp_path / "images" / "a.nii.gz").pixels.shape
    assert int((drawn > 0).sum()) == int(found["a.nii.gz"]["segmentation.area"]) > 0
    assert read_raster(tmp_path / "out" / "masks" / "segmentation" / "none.nii.gz").orientation == 1
    plain = read_raster(tmp_path / "out" / "masks" / "segmentation" / "c.png").pixels
    np.testing.assert_array_equal(
        read_raster(tmp_path / "out" / "masks" / "segmentation" / "1.2.840.31.png").pixels, plain
    )
    sizes = [found[name]["pixel_height_mm"] for name in ("1.2.840.31", "a.nii.gz", "c.png", "none.nii")]
    assert sizes == ["0.5", "0.25", "", ""]
    for name in ("1.2.840.31", "a.nii.gz"):
        area = 0.125 * int(found[name]["segmentation.area"])
        assert float(found[name]["segmentation.area_mm2"]) == pytest.approx(area)
    assert found["c.png"]["segmentation.area_mm2"] == ""
    predict(f"run={run}", f"images={tmp_path}/images", f"out={tmp_path}/out", "overlays=true", "device=cpu")
    assert rows(tmp_path / "out") == found
    (tmp_path / "images" / "a.nii.gz").unlink()
    predict(f"run={run}", f"images={tmp_path}/images", f"out={tmp_path}/out", "overlays=true", "device=cpu")
    assert not (tmp_path / "out" / "masks" / "segmentation" / "a.nii.gz").exists()
    assert not (tmp_path / "out" / "overlays" / "segmentation" / "a.png").exists()


@pytest.mark.full
def test_a_given_size_holds_for_all_images(run: Path, tmp_path: Path, predict: Command) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(blob(40, 28)).save(tmp_path / "images" / "c.png")
    asked = (f"run={run}", f"images={tmp_path}/images", "device=cpu")
    predict(*asked, f"out={tmp_path}/plain")
    assert "pixel_height_mm" not in rows(tmp_path / "plain")["c.png"], "the table is as it was before"
    predict(*asked, f"out={tmp_path}/out", "data.spacing=[0.1,0.3]")
    row = rows(tmp_path / "out")["c.png"]
    assert float(row["segmentation.area_mm2"]) == pytest.approx(0.03 * int(row["segmentation.area"]))


def test_a_table_takes_further_columns_later(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,value\na,1\n")
    table = PredictionsFile(tmp_path / "t.csv", ("image", "value"), ("mm",), wanted=True)
    assert table.keep(lambda row: row["mm"] == "") == {"a"}
    assert (tmp_path / "t.csv").read_text() == "image,value,mm\na,1,\n"
    assert PredictionsFile(tmp_path / "t.csv", ("image", "value"), ("mm",)).columns == ("image", "value", "mm")
    assert PredictionsFile(tmp_path / "u.csv", ("image", "value"), ("mm",)).columns == ("image", "value")


def test_masks_of_scans_are_told_from_images_by_their_names() -> None:
    names = (
        "a.nii.gz",
        "a_mask.nii.gz",
        "b.dcm",
        "b_mask.png",
        "imagesTr/c_0000.nii.gz",
        "labelsTr/c.nii.gz",
        "d_label.png",
    )
    found = masks_by_name([Path(name) for name in names])
    assert sorted(map(str, found)) == ["a_mask.nii.gz", "b_mask.png", "labelsTr/c.nii.gz"]
