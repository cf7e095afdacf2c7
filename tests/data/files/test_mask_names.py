"""Masks are told from images by the names of a data set, and by the usual ones; a file without its image is none."""

from pathlib import Path
from typing import Any

import pytest

from tandem.data.files.layout import Layout, Template
from tandem.data.files.mask_names import masks_by_layout, masks_by_name
from tandem.data.folder import Folder
from tandem.data.mixed import Mixed
from tandem.data.phantom import Phantom
from tandem.data.source import masks_among


def paths(text: str) -> list[Path]:
    return [Path("/r") / name for name in text.split()]


@pytest.mark.parametrize(
    ("files", "masks"),
    [
        ("b/b1.png b/b1_mask.png b/b1_mask_2.png", "b/b1_mask.png b/b1_mask_2.png"),
        ("b/1.png b/1_mask.png b/2_mask.png b/3_gt.png c/2_mask.png", "b/1_mask.png b/2_mask.png"),
        ("in/ISIC_1.jpg out/ISIC_1_segmentation.png", "out/ISIC_1_segmentation.png"),
        ("in/x.jpg in/x_Segmentation.PNG", "in/x_Segmentation.PNG"),
        ("IMD2/d/IMD2.bmp IMD2/l/IMD2_lesion.bmp", "IMD2/l/IMD2_lesion.bmp"),
        ("imagesTr/a_0000.png imagesTr/a_0001.png labelsTr/a.png", "labelsTr/a.png"),
        ("images/a.jpg annotations/trimaps/a.png", "annotations/trimaps/a.png"),
        ("train_images/a.jpg train_masks/a.gif test_images/b.jpg", "train_masks/a.gif"),
        ("images/1.png masks/1_mask.png", "masks/1_mask.png"),
        ("one/images/1.png two/masks/1.png", ""),
        ("mask.png masks/2.png lone_mask.png x_maskless.png x.png unmask.png un.png", ""),
        ("case_1.png case_2.png case.png", ""),
    ],
)  # fmt: skip
def test_usual_names(files: str, masks: str) -> None:
    assert masks_by_name(paths(files)) == set(paths(masks))


@pytest.mark.parametrize(
    ("images", "masks", "files", "found"),
    [
        ("{class}/{id}", "{class}/{id}_mask*", "b/1.png b/1_mask.png b/2_mask.png", "b/1_mask.png b/2_mask.png"),
        ("x/{id}", "y/{id}", "x/1.png y/1.png y/2.png", "y/1.png y/2.png"),
        ("x/{id}", "y/{id}", "y/1.png y/2.png", ""),
        ("{class}/{id}", "{class}/{id}-roi", "b/1.png b/1-roi.png m/1-roi.png", "b/1-roi.png m/1-roi.png"),
        ("{id}/img", "{id}/out*", "p1/img.png p1/out.png p2/out.png", "p1/out.png p2/out.png"),
    ],
)
def test_names_of_the_data_set_wherever_its_root_lies(images: str, masks: str, files: str, found: str) -> None:
    layout = Layout(Template(images, "data.images"), {"lesion": Template(masks, "data.masks")})
    for root in ("/r", "/deep/er/place"):
        here = [Path(root) / path.relative_to("/r") for path in paths(files)]
        assert masks_by_layout(layout, here) == {Path(root) / path.relative_to("/r") for path in paths(found)}


def test_a_table_names_its_masks(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "set", 4)
    files = [tmp_path / "set" / name for name in ("images/p0.png", "masks/p0.png", "masks/other.png")]
    source = Folder(str(root), table="table.csv")
    assert masks_among(source, files) == {files[1]}
    assert masks_among(Mixed({"a": source, "b": Folder(str(root), table="table.csv")}), files) == {files[1]}
    assert masks_among(Folder(str(tmp_path / "moved"), table="table.csv"), files) == set()
    assert masks_among(Phantom(), files) == set()
