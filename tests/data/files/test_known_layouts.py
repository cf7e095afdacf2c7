"""Layouts of published data sets are offered as a line that reads them, and never trained as classes."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tandem.data.coco import Coco
from tandem.data.folder import Folder
from tandem.data.samples import Samples
from tandem.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def pairs(image: str, mask: str, count: int = 12) -> Any:
    """Makes images and masks; the paths are formatted with the number and the number's parity as a class."""

    def make(root: Path, trees: Any) -> None:
        for number in range(count):
            at = {"n": number, "c": "ab"[number % 2]}
            trees.save(root / image.format(**at), trees.noise(number))
            if mask:
                trees.save(root / mask.format(**at), (trees.box() > 0).astype(np.uint8))

    return make


def nnunet(labels: dict[str, int], tested: bool) -> Any:
    def make(root: Path, trees: Any) -> None:
        pairs("imagesTr/case_{n:03d}_0000.png", "labelsTr/case_{n:03d}.png")(root, trees)
        for number in range(20, 24):
            trees.save(root / "imagesTs" / f"case_{number:03d}_0000.png", trees.noise(number))
            if tested:
                trees.save(root / "labelsTs" / f"case_{number:03d}.png", (trees.box() > 0).astype(np.uint8))
        (root / "dataset.json").write_text(json.dumps({"labels": labels}))

    return make


def splits(image: str) -> Any:
    def make(root: Path, trees: Any) -> None:
        for start, split in ((0, "train"), (50, "test")):
            for number in range(start, start + 10):
                trees.save(root / image.format(s=split, n=number, c="ab"[number % 2]), trees.noise(number))

    return make


ONE, TWO = {"background": 0, "lesion": 1}, {"background": 0, "liver": 1, "big tumour": 2}

KNOWN: dict[str, tuple[Any, str, dict[str, int]]] = {
    "nnU-Net": (nnunet(ONE, tested=False), "nnU-Net's layout", {"images": 12, "masks": 12}),
    "nnU-Net with labels of the test images": (
        nnunet(TWO, tested=True), "nnU-Net's layout", {"images": 16, "masks": 16, "test": 4},
    ),
    "ISIC, flat": (
        pairs("ISIC_{n}.jpg", "ISIC_{n}_Segmentation.png"), "images with masks named", {"images": 12, "masks": 12},
    ),
    "ISIC, in folders": (
        pairs("Data/ISIC_{n}.jpg", "GT/ISIC_{n}_Segmentation.png"), "images with masks", {"images": 12, "masks": 12},
    ),
    "masks beside images of classes": (
        pairs("{c}/x{n}.png", "{c}/x{n}-seg.png"), "images with masks named", {"images": 12, "masks": 12, "classes": 2},
    ),
    "parallel folders": (
        pairs("images/x{n}.jpg", "masks/x{n}.png"), "images and masks in parallel", {"images": 12, "masks": 12},
    ),
    "parallel folders of classes": (
        pairs("{c}/images/x{n}.jpg", "{c}/masks/x{n}.png"), "images and masks in parallel",
        {"images": 12, "masks": 12, "classes": 2},
    ),
    "a folder of masks with another name": (
        pairs("pixels/x{n}.jpg", "annotation_png/x{n}.png"), "images and masks in parallel",
        {"images": 12, "masks": 12},
    ),
    "masks with another beginning": (
        pairs("Images/bus_{n:03d}-l.png", "Masks/mask_{n:03d}-l.png"), "images and masks in parallel",
        {"images": 12, "masks": 12},
    ),
    "a folder with a blank": (
        pairs("Original/{n}.png", "Ground Truth/{n}.png"), "images and masks in parallel", {"images": 12, "masks": 12},
    ),
    "Pascal VOC": (
        pairs("JPEGImages/x{n}.jpg", "SegmentationClass/x{n}.png"), "images and masks in parallel",
        {"images": 12, "masks": 12},
    ),
    "splits of classes": (splits("{s}/{c}/x{n}.png"), "published splits", {"images": 20, "test": 10, "classes": 2}),
    "splits": (splits("{s}/x{n}.png"), "published splits", {"images": 20, "test": 10}),
}  # fmt: skip


def offered(message: str) -> dict[str, Any]:
    """The options of an offered line, as the shell and Hydra read them."""
    words = shlex.split(message[message.index(": data=") + 2 :].split(";\n")[0])
    parser = OverridesParser.create()
    return {override.key_or_group: override.value() for override in parser.parse_overrides(words)}


def load(message: str) -> tuple[dict[str, Samples], tuple[str, ...]]:
    options = offered(message)
    kind = {"folder": Folder, "coco": Coco}[options.pop("data")]
    named = {key.removeprefix("data."): value for key, value in options.items() if key != "task"}
    if "mask_values" in named:
        named["mask_values"] = {str(key): value for key, value in named["mask_values"].items()}
    source = kind(**{"size": 16, "near_duplicates": False, **named})
    return source.load(), tuple(source.classes)


@pytest.mark.parametrize(("make", "what", "counts"), KNOWN.values(), ids=KNOWN.keys())
def test_the_offered_line_reads_the_layout(
    trees: Any, tmp_path: Path, make: Any, what: str, counts: dict[str, int]
) -> None:
    root = tmp_path / "my data"  # with a blank, which the line has to quote
    make(root, trees)
    with pytest.raises(DataError, match=f"It looks like {what}") as caught:
        Folder(str(root)).load()
    assert len(str(caught.value).splitlines()) == 1
    parts, classes = load(str(caught.value))
    whole = list(parts.values())
    masks = sum(int(((part.masks > 0) & (part.masks != 255)).flatten(1).any(1).sum()) for part in whole)
    found = {"images": sum(map(len, whole)), "masks": masks, "test": len(parts["test"]), "classes": len(classes)}
    assert {key: found[key] for key in counts} == counts
    assert found["classes"] == counts.get("classes", 0)


def test_the_task_of_an_offer_depends_on_the_labels(trees: Any, tmp_path: Path) -> None:
    for labels, task in ((ONE, "segmentation"), (TWO, "semantic")):
        nnunet(labels, tested=False)(tmp_path / task, trees)
        with pytest.raises(DataError) as caught:
            Folder(str(tmp_path / task)).load()
        assert offered(str(caught.value))["task"] == task


def test_volumes_are_refused_with_the_reason(tmp_path: Path) -> None:
    for name in ("imagesTr/c0_0000.nrrd", "labelsTr/c0.nrrd"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"nnU-Net's layout, but its \.nrrd files are not read; export 2-D slices"):
        Folder(str(tmp_path)).load()


def test_several_masks_of_an_image_are_offered_too(trees: Any, tmp_path: Path) -> None:
    pairs("{c}/x{n}.png", "{c}/x{n}_seg.png")(tmp_path, trees)
    trees.save(tmp_path / "a" / "x0_seg_1.png", trees.box())
    with pytest.raises(DataError) as caught:
        Folder(str(tmp_path)).load()
    assert offered(str(caught.value))["data.masks"] == "{class}/{id}_seg*"
    parts, _ = load(str(caught.value))
    assert sum(map(len, parts.values())) == 12


def test_masks_in_a_folder_of_any_name_are_found_by_their_levels(trees: Any, tmp_path: Path) -> None:
    pairs("train/{n}.png", "trainx/{n}.png")(tmp_path, trees)
    line = r"trainx looks like the masks of train: 'data\.images=\"train/\{id\}\"' 'data\.masks=\"trainx/\{id\}\"'"
    with pytest.raises(DataError, match=line):
        Folder(str(tmp_path)).load()


def test_files_named_after_images_can_be_left_out_by_their_ending(trees: Any, tmp_path: Path) -> None:
    pairs("ISIC_{n}.jpg", "ISIC_{n}_superpixels.png")(tmp_path, trees)
    with pytest.raises(DataError, match=r"\(or leave them out: 'data\.images=\"\{id\}\.jpg\"'\)"):
        Folder(str(tmp_path), images="{id}", masks=None).load()
    splits = Folder(str(tmp_path), images="{id}.jpg", masks=None, size=16, near_duplicates=False).load()
    assert sum(map(len, splits.values())) == 12


def test_given_classes_are_meant(trees: Any, tmp_path: Path) -> None:
    splits("{s}/x{n}.png")(tmp_path, trees)
    source = Folder(str(tmp_path), size=16, classes=["train", "test"], near_duplicates=False)
    assert sum(map(len, source.load().values())) == 20


@pytest.mark.parametrize("names", [("benign", "malignant"), ("train", "bus"), ("label_0", "label_1"), ("images",)])
def test_other_folders_are_classes(trees: Any, tmp_path: Path, names: tuple[str, ...]) -> None:
    for label, name in enumerate(names):
        for number in range(8):
            trees.save(tmp_path / name / f"x{number}.png", trees.noise(100 * label + number))
    source = Folder(str(tmp_path), size=16, near_duplicates=False)
    source.load()
    assert set(source.classes) == set(names)


def test_a_few_names_like_those_of_masks_are_a_warning(
    trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(40):
        trees.save(tmp_path / "a" / f"x{number}.png", trees.noise(number))
    trees.save(tmp_path / "a" / "x1_label.png", trees.box())
    Folder(str(tmp_path), size=16, near_duplicates=False).load()
    assert re.search(r"1 files that match data\.images look like masks of others, such as 'a/x1_label'", caplog.text)
