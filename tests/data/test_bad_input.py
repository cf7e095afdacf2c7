"""Every fault in the data has one clear line with file and row, and all of them are reported at once."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.data.files.faults import FaultyDataError
from tandem.data.folder import Folder
from tandem.errors import ConfigError, DataError

Break = Callable[[Path, Any], object]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def write(name: str, content: bytes) -> Break:
    def fault(root: Path, trees: Any) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return fault


def image(name: str, array: Any, **options: Any) -> Break:
    def fault(root: Path, trees: Any) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(array)).save(root / name, **options)

    return fault


def cut(name: str, share: float) -> Break:
    def fault(root: Path, trees: Any) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(len(content) * share)])

    return fault


def pages(root: Path, trees: Any) -> None:
    page = Image.new("L", (24, 20))
    page.save(root / "benign" / "b.tif", save_all=True, append_images=[page])


def flipped_bit(root: Path, trees: Any) -> None:
    path = root / "benign" / "a1_mask.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(bytes(content))


def removed(name: str) -> Break:
    return lambda root, trees: (root / name).unlink()


def misspelt(root: Path, trees: Any) -> None:
    for name, split in (("benign", "train"), ("malignant", "test")):
        (root / name).rename(root / split)
    image("trian/n1.png", BOX)(root, trees)


def emptied(root: Path, trees: Any) -> None:
    for path in sorted(root.rglob("*.*")):
        path.unlink()


NAN = np.full((20, 24), 0.5, dtype=np.float32)
NAN[3, 4:6] = np.nan
BOX = np.zeros((20, 24), dtype=np.uint8)
BOX[4:9, 4:9] = 255

FOLDERS: dict[str, tuple[Break, dict[str, Any], str]] = {
    "an empty file": (write("benign/a1.png", b""), {}, r"benign/a1\.png' is not an image"),
    "text": (
        write("benign/a1.png", b"<html>not found</html>"),
        {},
        r"a1\.png' is not an image \(PNG, JPEG, BMP, TIFF, WebP, GIF, PNM, JPEG 2000\)",
    ),
    "PostScript": (write("benign/b.png", b"%!PS-Adobe-3.0 EPSF-3.0\n"), {}, r"b\.png' is not an image"),
    "truncated": (cut("benign/a1.png", 0.6), {}, r"a1\.png' is truncated or damaged"),
    "a truncated mask": (cut("benign/a1_mask.png", 0.6), {}, r"a1_mask\.png' is truncated or damaged"),
    "a flipped bit": (flipped_bit, {}, r"a1_mask\.png' is truncated or damaged"),
    "a mask of another size": (
        image("benign/a1_mask.png", BOX[:, :20]),
        {},
        r"mask '.*a1_mask\.png' is 20x20, but its image is 24x20",
    ),
    "a mask of grey levels": (
        image("benign/a1_mask.png", np.arange(480, dtype=np.uint16).reshape(20, 24).astype(np.uint8)),
        {},
        r"a1_mask\.png' has 256 values \(0, 1, 2, 3, 4, \.\.\.\), but may have only 0",
    ),
    "a coloured mask": (
        image("benign/a1_mask.png", np.dstack([BOX, BOX * 0, BOX * 0])),
        {},
        r"a1_mask\.png' is in colour",
    ),
    "a transparent mask": (
        image("benign/a1_mask.png", np.dstack([BOX, BOX, BOX, BOX])),
        {},
        r"a1_mask\.png' has transparent pixels",
    ),
    "a deep mask": (
        image("benign/a1_mask.png", BOX.astype(np.uint16) * 3),
        {},
        r"a1_mask\.png' has 2 values \(0, 765\), but may have only 0 and either 1, 255 or 65535: set their meaning",
    ),
    "a mask value without meaning": (
        image("benign/a1_mask.png", BOX // 2),
        {"mask_values": {"255": "lesion"}},
        r"a1_mask\.png' has 1 values without a meaning \(127\)",
    ),
    "several pages": (pages, {}, r"b\.tif' has 2 pages"),
    "pixels that are no numbers": (
        image("benign/b.tif", NAN),
        {"grey_range": [0, 1]},
        r"b\.tif' has 2 pixels that are nan or infinite",
    ),
    "a mask without an image": (removed("benign/a1.png"), {}, r"mask '.*a1_mask\.png' belongs to no image"),
    "two images of one name": (
        image("benign/a1.jpg", BOX),
        {},
        r"a1\.png' and '.*a1\.jpg' are both 'benign/a1': rename one",
    ),
    "an unknown class folder": (
        image("normal/n1.png", BOX),
        {"classes": ["benign", "malignant"]},
        r"normal/n1\.png': the class 'normal' is not in data\.classes \(benign, malignant\)",
    ),
    "an unknown split folder": (
        misspelt,
        {"images": "{split}/{id}", "masks": "{split}/{id}_mask"},
        r"is in the split folder 'trian': use train, val and test",
    ),
    "a mask of two images": (
        image("masks/a1.png", BOX),
        {"masks": {"beside": "{class}/{id}_mask", "elsewhere": "masks/{id}"}},
        r"masks/a1\.png' belongs to 2 images: use more fields in data\.masks",
    ),
    "a damaged bitmap": (
        write("benign/b.bmp", b"BM" + b"\xff" * 60),
        {},
        r"b\.bmp' is (not an image|truncated or damaged)",
    ),
}


@pytest.mark.parametrize(("fault", "settings", "line"), FOLDERS.values(), ids=FOLDERS.keys())
def test_faults_of_a_folder(trees: Any, tmp_path: Path, fault: Break, settings: dict[str, Any], line: str) -> None:
    root = trees.folders(tmp_path / "mine", 10)
    fault(root, trees)
    refused_and_skipped(lambda **more: Folder(str(root), size=16, near_duplicates=False, **settings, **more), line)


def refused_and_skipped(make: Callable[..., Any], line: str) -> None:
    """The fault is refused with its line; if it may be skipped, the rest of the set is used."""
    with pytest.raises(DataError, match=line) as caught:
        make().load()
    assert isinstance(caught.value, FaultyDataError)
    source = make(on_error="skip")
    try:
        left = sum(len(part) for part in source.load().values())
    except FaultyDataError:
        raise
    except DataError:  # the remaining rows cannot be split
        left = 1
    assert left > 0
    assert source.skipped == caught.value.faults or not source.skipped
    assert all("\n" not in fault for fault in caught.value.faults)


def cell(row: int, column: str, text: str) -> Break:
    """Writes into a cell of the table, rows counted from 1."""

    def fault(root: Path, trees: Any) -> None:
        lines = (root / "table.csv").read_text().splitlines()
        header, cells = lines[0].split(","), lines[row].split(",")
        cells[header.index(column)] = text
        lines[row] = ",".join(cells)
        (root / "table.csv").write_text("\n".join(lines) + "\n")

    return fault


def link(root: Path, trees: Any) -> None:
    outside = root.parent / "secret.png"
    Image.fromarray(BOX).save(outside)
    (root / "images" / "p3.png").unlink()
    (root / "images" / "p3.png").symlink_to(outside)


ROW_3 = r"table\.csv', row 3: "
TABLES: dict[str, tuple[Break, dict[str, Any], str]] = {
    "an image that is not there": (
        cell(3, "image", "images/absent.png"),
        {},
        ROW_3 + r".*absent\.png' cannot be read",
    ),
    "a mask that is not there": (cell(3, "mask", "masks/absent.png"), {}, ROW_3 + r".*absent\.png' cannot be read"),
    "no image": (cell(3, "image", ""), {}, ROW_3 + "image is empty"),
    "an image out of the root": (
        cell(3, "image", "../secret.png"),
        {},
        ROW_3 + r"the path '\.\./secret\.png' leads out of",
    ),
    "an absolute path": (cell(3, "image", os.devnull), {}, ROW_3 + "the path .* leads out of"),
    "a mask out of the root": (cell(3, "mask", "masks/../../m.png"), {}, ROW_3 + "the path .* leads out of"),
    "a link out of the root": (link, {}, r"row 4: the path 'images/p3\.png' leads out of"),
    "the root itself": (cell(3, "image", "."), {}, ROW_3 + r"'.*' cannot be read"),
    "an unknown class": (
        cell(3, "label", "bening"),
        {"classes": ["benign", "malignant"]},
        ROW_3 + "the class 'bening' is not in",
    ),
    "a label out of range": (
        cell(3, "label", "7"),
        {"classes": {"benign": "harmless", "malignant": "cancer"}},
        ROW_3 + r"the class '7' is not in data\.classes",
    ),
    "an image listed twice": (
        cell(3, "image", "images/p0.png"),
        {},
        ROW_3 + r"the id 'images/p0' is already in .*row 1",
    ),
    "an id used twice": (
        cell(3, "patient", "p0"),
        {"columns": {"image": "image", "label": "label", "id": "patient"}},
        ROW_3 + "the id 'p0' is already in .*row 1",
    ),
    "an empty id": (
        cell(3, "patient", ""),
        {"columns": {"image": "image", "id": "patient"}},
        ROW_3 + "patient is empty: each row needs an id",
    ),
    "an unknown split": (
        cell(3, "fold", "trial"),
        {"columns": {"image": "image", "label": "label", "split": "fold"}},
        ROW_3 + "fold is 'trial': use train, val or test",
    ),
    "a finding of 2": (
        cell(3, "cyst", "2"),
        {"columns": {"image": "image", "findings": ["cyst"]}},
        ROW_3 + "cyst is '2': use 0 or 1",
    ),
    "a number that is none": (
        cell(3, "age", "old"),
        {"columns": {"image": "image", "numbers": ["age"]}},
        ROW_3 + "age is 'old': use a number",
    ),
    "an infinite number": (
        cell(3, "age", "inf"),
        {"columns": {"image": "image", "numbers": ["age"]}},
        ROW_3 + "age is 'inf': use a finite number",
    ),
    "two classes at once": (
        cell(3, "one", "1"),
        {"columns": {"image": "image", "label": ["one", "other"]}},
        ROW_3 + "of the classes one, other, one and other is 1: exactly one must be",
    ),
    "no class at all": (
        cell(4, "one", "0"),
        {"columns": {"image": "image", "label": ["one", "other"]}},
        r"row 4: of the classes one, other, none is 1",
    ),
}


@pytest.mark.parametrize(("fault", "settings", "line"), TABLES.values(), ids=TABLES.keys())
def test_faults_of_rows(trees: Any, tmp_path: Path, fault: Break, settings: dict[str, Any], line: str) -> None:
    split = ("train", "val", "test", "train", "train")
    root = trees.table(
        tmp_path / "mine",
        20,
        patient=lambda number: f"p{number}",
        fold=lambda number: split[number // 4],
        cyst=lambda number: number % 2,
        age=lambda number: number,
        one=lambda number: number % 2,
        other=lambda number: 1 - number % 2,
    )
    fault(root, trees)
    make = lambda **more: Folder(  # noqa: E731 (short)
        str(root), table="table.csv", size=16, near_duplicates=False, **settings, **more
    )
    refused_and_skipped(make, line)


def text(content: str) -> Break:
    return lambda root, trees: (root / "table.csv").write_text(content)


STRUCTURES: dict[str, tuple[Break, dict[str, Any], str]] = {
    "no table": (removed("table.csv"), {}, r"table '.*table\.csv' cannot be read"),
    "an empty table": (text(""), {}, r"lacks the column image, label, mask"),
    "a table of a header": (text("image,label,mask\n"), {}, "has no rows"),
    "a column that is missing": (
        text("image,mask\na.png,\n"),
        {},
        r"table\.csv' lacks the column label: name columns that the table has.*data\.columns.*not 'image,mask'",
    ),
    "a row that is too short": (
        text("image,label,mask\na.png,x\n"),
        {},
        "row 1 below the header, does not have 3 cells",
    ),
    "no text": (
        lambda root, trees: (root / "table.csv").write_bytes(b"\xff\xfe\x00"),
        {},
        "not a csv file in UTF-8",
    ),
    "no Parquet": (write("t.parquet", b"PAR1 no"), {"table": "t.parquet"}, r"t\.parquet' cannot be read"),
    "an unknown key of columns": (
        text(""),
        {"columns": {"image": "i", "labels": "l"}},
        "data.columns has no key 'labels'",
    ),
    "no column of images": (text(""), {"columns": {"label": "l"}}, r"data\.columns\.image has no value"),
}


@pytest.mark.parametrize(("fault", "settings", "line"), STRUCTURES.values(), ids=STRUCTURES.keys())
def test_faults_of_a_table(trees: Any, tmp_path: Path, fault: Break, settings: dict[str, Any], line: str) -> None:
    root = trees.table(tmp_path / "mine", 4)
    fault(root, trees)
    with pytest.raises((DataError, ConfigError), match=line):
        Folder(str(root), **{"table": "table.csv", "on_error": "skip", **settings}).load()


def test_no_images_at_all(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 2)
    emptied(root, trees)
    with pytest.raises(DataError, match=r"no image below '.*mine'.* matches data\.images"):
        Folder(str(root), on_error="skip").load()
    with pytest.raises(DataError, match=r"data\.root='.*absent' is not a folder"):
        Folder(str(tmp_path / "absent")).load()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"images": "{class}/{name}"}, r"data\.images is '\{class\}/\{name\}', but \{name\} is not one of \{id\}"),
        ({"images": "{class}/x"}, r"needs \{id\}"),
        ({"masks": "../{id}"}, r"data\.masks is '\.\./\{id\}', but must lie below data\.root"),
        ({"name": "a/b"}, r"data\.name is 'a/b'"),
        ({"no_mask": "none"}, r"data\.no_mask is 'none'"),
        ({"grey_range": [5, 5]}, r"data\.grey_range is \[5, 5\]"),
        (
            {"masks": {"a": "{id}_a", "b": "{id}_b"}, "mask_values": {"1": "x", "2": "y"}},
            "names 2 classes, but there are 2",
        ),
    ],
)
def test_bad_options_are_refused_before_files_are_read(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Folder("absent", **settings)


def test_all_faults_of_all_kinds_at_once(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 20)
    for row, (column, value) in enumerate(
        [("image", "../a.png"), ("label", "tumour?"), ("mask", "masks/absent.png"), ("image", "images/p0.png")], start=2
    ):
        cell(row, column, value)(root, trees)
    for number in range(8, 18):
        (root / "images" / f"p{number}.png").write_bytes(b"x")
    with pytest.raises(FaultyDataError) as caught:
        Folder(str(root), table="table.csv", classes=["benign", "malignant"]).load()
    assert len(caught.value.faults) == 14
    shown = str(caught.value).splitlines()
    assert shown[0].startswith("14 of 20 images cannot be used; the first: ")
    assert shown[-1].strip() == "... and 11 more"
    assert len(shown) == 4
