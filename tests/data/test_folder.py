"""Your own images: every layout, table, depth and kind of mask gives the rows that a reader would expect."""

import inspect
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from tandem.config.shipped import config_folder
from tandem.data.checks import check_splits
from tandem.data.folder import Folder
from tandem.data.samples import SPLITS, Samples, join_samples
from tandem.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def load(root: Path, **settings: Any) -> Samples:
    """All rows of a folder in order of their ids, after the checks of the data module."""
    source = Folder(str(root), **{"size": 16, "near_duplicates": False, **settings})
    splits = source.load()
    check_splits(source.name, splits, source.classes, source.targets)
    whole = join_samples([splits[split] for split in SPLITS])
    return whole.pick(sorted(range(len(whole)), key=whole.ids.__getitem__))


def test_class_folders_with_masks_beside_the_images(trees: Any, tmp_path: Path) -> None:
    rows = load(trees.folders(tmp_path / "mine", 8, masked=lambda number: number < 4))
    assert rows.ids[:3] == ("benign/a0", "benign/a1", "benign/a2")
    assert rows.labels.tolist() == [0] * 8 + [1] * 8
    known = (rows.masks != 255).flatten(1).all(1)
    assert known.tolist() == ([True] * 4 + [False] * 4) * 2
    assert set(np.unique(rows.masks[known])) == {0, 1}
    assert rows.groups == ()


def test_an_image_without_a_mask_can_mean_an_empty_one(trees: Any, tmp_path: Path) -> None:
    rows = load(trees.folders(tmp_path / "mine", 8, masked=lambda number: number < 4), no_mask="empty")
    assert not (rows.masks == 255).any()
    assert rows.masks.flatten(1).any(1).tolist() == ([True] * 4 + [False] * 4) * 2


def test_without_any_mask_there_is_no_such_target(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 8, masked=lambda number: False)
    assert Folder(str(root)).targets.mask_depth == 0
    assert set(load(root).take([0])) == {"image", "label", "id"}


def moved(root: Path, form: str) -> Path:
    """The masks of class folders, elsewhere."""
    for path in sorted(root.glob("*/*_mask.png")):
        target = root / form.format(name=path.stem.removesuffix("_mask"), folder=path.parent.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return root


def test_layouts_of_one_set_give_the_same_rows(trees: Any, tmp_path: Path) -> None:
    beside = load(trees.folders(tmp_path / "beside", 8))
    parallel = trees.folders(tmp_path / "parallel" / "images", 8)
    shutil.move(moved(parallel, "../masks/{folder}/{name}.png"), parallel)
    found = load(parallel.parent, images="images/{class}/{id}", masks="masks/{class}/{id}")
    assert torch.equal(found.masks, beside.masks)
    assert torch.equal(found.images, beside.images)
    assert torch.equal(found.labels, beside.labels)
    assert [name.removeprefix("images/") for name in found.ids] == list(beside.ids)


def test_published_splits_and_patients_in_the_path(trees: Any, tmp_path: Path) -> None:
    for begin, (split, count) in enumerate((("training", 6), ("valid", 4), ("test", 5))):
        for number in range(count):
            name = trees.classes[number % 2]
            patient = f"{split}-{number // 2}"
            trees.save(tmp_path / "mine" / split / name / patient / f"x{number}.bmp", trees.noise(10 * begin + number))
    source = Folder(str(tmp_path / "mine"), size=16, images="{split}/{class}/{group}/{id}", masks=None)
    parts = source.load()
    assert {split: len(part) for split, part in parts.items()} == {"train": 6, "val": 4, "test": 5}
    assert source.classes == trees.classes
    names = {part.groups[row] for part in parts.values() for row in range(len(part))}
    assert len(names) == len({id.rsplit("/", 2)[1] for part in parts.values() for id in part.ids})
    anew = Folder(str(tmp_path / "mine"), size=16, images="{split}/{class}/{group}/{id}", masks=None, resplit=True)
    assert len(anew.load()["train"]) > 6


def test_several_masks_of_an_image_are_merged(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 6)
    other = np.zeros((20, 24), np.uint8)
    other[16:19, 2:20] = 1
    trees.save(root / "benign" / "a1_mask_1.png", other)
    rows = load(root, size=24)
    assert rows.masks[1].sum() > rows.masks[0].sum()
    assert (rows.masks[1] >= rows.masks[0]).all()


def test_mask_channels_are_known_one_by_one(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 6)
    trees.save(root / "benign" / "a1_hair.png", trees.box())
    rows = load(root, masks={"lesion": "{class}/{id}_mask", "hair": "{class}/{id}_hair"})
    assert rows.masks.shape[1] == 2
    assert (rows.masks[:, 0] != 255).all()
    assert (rows.masks[:, 1] != 255).flatten(1).any(1).tolist() == [False, True] + [False] * 10


def test_masks_of_classes_and_their_names(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 6)
    for path in root.glob("*/*_mask.png"):
        mask = trees.box(7)
        mask[4:9], mask[0] = 9, 3
        trees.save(path, mask)
    source = Folder(str(root), mask_values={"7": "liver", "9": "spleen", "3": "ignore"})
    assert source.targets.mask_classes == ("background", "liver", "spleen")
    assert source.targets.mask_channels == ()
    rows = load(root, size=24, mask_values={"7": "liver", "9": "spleen", "3": "ignore"})
    assert np.unique(rows.masks).tolist() == [0, 1, 2, 255]


def test_a_named_mask_value_names_the_channel(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 6)
    assert Folder(str(root), mask_values={"255": "tumour"}).targets.mask_channels == ("tumour",)


# --------------------------------------------------------------------------------------------------------------- depths

LEVELS = np.linspace(0, 65535, 480).round().astype(np.uint16).reshape(20, 24)


def grey(tmp_path: Path, array: Any, ending: str = "png", **settings: Any) -> Samples:
    """The rows of a data set of equal images."""
    for number in range(8):
        path = tmp_path / "mine" / f"c{number}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
    return load(tmp_path / "mine", images="{id}", masks=None, **{"size": 20, **settings})


def column(array: Any) -> Any:
    return np.repeat(np.asarray(array)[:, None], 20, 1)


@pytest.mark.parametrize("ending", ["png", "tiff", "pgm", "jp2"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_levels_keep_their_precision(tmp_path: Path, ending: str, bits: int) -> None:
    levels = np.linspace(0, 2**bits - 1, 20).round().astype(np.uint16)
    rows = grey(tmp_path, column(levels), ending)
    assert rows.images.dtype == torch.uint16
    assert rows.images[0, 0, :, 0].tolist() == levels.tolist()
    unit = rows.take([0])["image"][0, 0, :, 0]
    np.testing.assert_allclose(unit.numpy(), levels / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize("kind", ["int16", "int32", "float32"])
def test_signed_and_float_levels_are_read(tmp_path: Path, kind: str) -> None:
    levels = np.linspace(-1000, 3000, 20).astype(kind)
    rows = grey(tmp_path, column(levels), "tif")
    assert (rows.images.dtype, rows.images[0, 0, :, 0].tolist()) == (torch.float32, levels.tolist())
    np.testing.assert_allclose(rows.take([0])["image"][0, 0, :, 0].numpy(), (levels + 1000.0) / 4000, atol=1e-6)


def test_a_range_of_grey_levels_is_stretched_and_its_ends_are_clipped(tmp_path: Path) -> None:
    square = column(np.arange(20, dtype=np.uint16) * 300)
    found = grey(tmp_path, square, grey_range=[600, 4200]).take([0])["image"][0, 0, :, 0]
    assert found[:3].tolist() == [0, 0, 0]
    assert found[8] == 0.5
    assert set(found[14:].tolist()) == {1.0}


@pytest.mark.parametrize("storage", ["memory", "disk", "decoded again"])
def test_deep_levels_are_the_same_wherever_they_are_kept(tmp_path: Path, storage: str) -> None:
    levels = column(np.linspace(0, 4095, 20).round().astype(np.uint16))
    settings: dict[str, Any] = {} if storage == "memory" else {"memory_gb": 0.0}
    if storage == "decoded again":
        (tmp_path / "file").touch()
        settings["cache"] = str(tmp_path / "file")
    rows = grey(tmp_path, levels, "png", **settings)
    assert isinstance(rows.images, torch.Tensor) == (storage == "memory")
    assert rows.images.dtype == torch.uint16
    np.testing.assert_allclose(rows.take([3, 1])["image"][1, 0].numpy(), levels / 4095, atol=1e-6)


def test_8_bit_images_beside_deep_ones_stay_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    levels = column(np.linspace(0, 255, 20).round().astype(np.uint8))
    alone = grey(tmp_path / "alone", levels)
    for number in range(4):
        deep = tmp_path / "both" / "mine" / f"d{number}.png"
        deep.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels.astype(np.uint16) * 10 + 100).save(deep)
    caplog.clear()
    both = grey(tmp_path / "both", levels)
    assert torch.equal(both.pick(range(8)).take(range(8))["image"], alone.take(range(8))["image"])
    assert [both.take([8])["image"].min(), both.take([8])["image"].max()] == [0, 1]
    assert "files differ in depth, 8 have 8 bits and 4 more (first: " in caplog.text


def test_the_levels_are_those_of_the_training_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    root = tmp_path / "mine"
    for split, most in (("train", 1000), ("val", 2000), ("test", 3000)):
        for number in range(3):
            (root / split / "a").mkdir(parents=True, exist_ok=True)
            levels = column(np.linspace(0, most, 20).round().astype(np.uint16))
            Image.fromarray(levels).save(root / split / "a" / f"{number}.png")
    source = Folder(str(root), images="{split}/{class}/{id}", masks=None, size=20)
    splits = source.load()
    assert source.levels == ((0.0, 1000.0),)
    assert (splits["test"].take([0])["image"][0, 0, 7:] == 1).all(), "clipped"
    assert "data folder: 9 of 9 images have more than 8 bits; level 0 becomes black and 1000 white (0.1%" in caplog.text


def test_deep_images_outside_the_training_split_alone_need_a_range(tmp_path: Path) -> None:
    for split in SPLITS:
        path = tmp_path / "mine" / split / "a" / "0.png"
        path.parent.mkdir(parents=True)
        level, dtype = {"train": (1, np.uint8), "val": (2, np.uint16), "test": (3, np.uint16)}[split]
        Image.fromarray(np.full((20, 20), level, dtype)).save(path)
    settings: dict[str, Any] = {"root": str(tmp_path / "mine"), "images": "{split}/{class}/{id}", "masks": None}
    with pytest.raises(DataError, match=r"2 images have more than 8 bits, but none of the training split .*grey_range"):
        Folder(**settings).load()
    assert Folder(**settings, grey_range=[0, 10]).load()["val"].levels is not None


def test_transparent_pixels_are_said_once_and_composited(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(8):
        rgba = np.full((20, 20, 4), 200, np.uint8)
        rgba[..., 3] = 255
        rgba[:10, :, 3] = 0 if number < 5 else 255
        path = tmp_path / "mine" / f"c{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rgba).save(path)
    rows = load(tmp_path / "mine", images="{id}", masks=None, size=20, background="#010101")
    assert rows.images[0, 0, [0, 19], 0].tolist() == [1, 200]
    assert (rows.images[7] == 200).all()
    (line,) = (record.getMessage() for record in caplog.records if "transparent" in record.getMessage())
    assert line.startswith("data folder: images with transparent pixels, composited on data.background: 5 (first: ")
    assert "c0.png" in line


@pytest.mark.parametrize("tag_of_mask", [None, 3])
def test_a_tag_on_the_image_alone_is_named(
    trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, tag_of_mask: int | None
) -> None:
    root = trees.folders(tmp_path / "mine", 8)
    exif = Image.Exif()
    exif[274] = 3
    for name, tagged in (("a2.png", True), ("a2_mask.png", tag_of_mask is not None)):
        with Image.open(root / "benign" / name) as image:
            image.load()
        image.save(root / "benign" / name, exif=exif if tagged else None)
    load(root)
    lines = [record.getMessage() for record in caplog.records if "EXIF" in record.getMessage()]
    if tag_of_mask:
        assert lines == []
    else:
        (line,) = lines
        assert "images that differ from a mask in the EXIF orientation tag: 1 (first: " in line
        assert "a2.png" in line


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "PNG", "webp", "gif", "ppm", "jp2"])
@pytest.mark.parametrize("channels", [1, 3])
def test_formats_and_channels(trees: Any, tmp_path: Path, ending: str, channels: int) -> None:
    for number in range(8):
        trees.save(tmp_path / "mine" / f"c{number}.{ending}", trees.noise(number, (20, 24, 3)))
    rows = load(tmp_path / "mine", images="{id}", masks=None, channels=channels)
    assert rows.images.shape == (8, channels, 16, 16)
    assert rows.labels.tolist() == [-100] * 8


# --------------------------------------------------------------------------------------------------------------- tables


def write(root: Path, kind: str) -> str:
    """The table of a tree in another format; its name."""
    text = (root / "table.csv").read_text()
    if kind == "semicolon":
        (root / "t.csv").write_text(text.replace(",", ";"))
        return "t.csv"
    if kind == "tab":
        (root / "t.tsv").write_text(text.replace(",", "\t"))
        return "t.tsv"
    if kind == "parquet":
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        lines = [line.split(",") for line in text.splitlines()]
        columns: dict[str, list[Any]] = {
            name: [row[place] or None for row in lines[1:]] for place, name in enumerate(lines[0])
        }
        columns["age"] = [None if cell is None else float(cell) for cell in columns["age"]]
        parquet.write_table(pyarrow.table(columns), root / "t.parquet")
        return "t.parquet"
    return "table.csv"


@pytest.mark.parametrize("kind", ["comma", "semicolon", "tab", "parquet"])
def test_tables_of_every_format_give_the_same_rows(trees: Any, tmp_path: Path, kind: str) -> None:
    root = trees.table(
        tmp_path / "mine",
        16,
        label=lambda n: "" if n == 5 else trees.classes[n % 2],
        mask=lambda n: "" if n % 4 == 0 else f"masks/p{n}.png",
        age=lambda n: "" if n == 7 else n + 30,
        cyst=lambda n: "" if n == 3 else n % 2,
        patient=lambda n: f"p{n // 2}",
    )
    columns = {"image": "image", "label": "label", "masks": "mask", "group": "patient"}
    more = {"numbers": ["age"], "findings": ["cyst"]}
    rows = load(root, table=write(root, kind), columns={**columns, **more})
    at = {name: place for place, name in enumerate(rows.ids)}
    assert rows.labels[at["images/p5"]] == -100
    assert rows.labels[at["images/p6"]] == 0
    assert (rows.masks[at["images/p4"]] == 255).all()
    assert rows.masks[at["images/p5"]].max() == 1
    assert rows.columns["age"][at["images/p6"]] == 36
    assert rows.columns["age"].isnan().sum() == 1
    assert rows.findings is not None
    assert rows.findings[at["images/p3"]].tolist() == [255]
    assert rows.groups[at["images/p4"]] == rows.groups[at["images/p5"]] != rows.groups[at["images/p6"]]


def test_one_hot_columns_and_named_values(trees: Any, tmp_path: Path) -> None:
    one_hot = {"MEL": lambda n: float(n % 2), "NV": lambda n: 1.0 - n % 2}
    root = trees.table(tmp_path / "mine", 16, label=lambda n: n % 2, **one_hot)
    rows = load(root, table="table.csv", columns={"image": "image", "label": ["MEL", "NV"]})
    source = Folder(str(root), table="table.csv", classes={"0": "harmless", "1": "cancer"})
    assert source.classes == ("harmless", "cancer")
    named = load(root, table="table.csv", classes={"0": "harmless", "1": "cancer"})
    assert torch.equal(named.labels, 1 - rows.labels)


def test_numbers_as_classes_come_in_their_own_order(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 48, label=lambda n: (2, 10, 1)[n % 3])
    assert Folder(str(root), table="table.csv").classes == ("1", "2", "10")


def test_several_masks_in_a_cell(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 16, mask=lambda n: f"masks/p{n}.png|masks/extra.png" if n == 2 else "")
    extra = np.zeros((20, 24), np.uint8)
    extra[16:] = 255
    trees.save(root / "masks" / "extra.png", extra)
    rows = load(root, table="table.csv", size=24)
    row = rows.ids.index("images/p2")
    assert rows.masks[row, 0, -1].all()
    assert rows.masks[row, 0, 8, 10] == 1


def test_near_duplicates_and_patients_stay_together(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 30, patient=lambda n: f"p{n // 2}")
    shutil.copy(root / "images" / "p0.png", root / "images" / "p9.png")  # so patients p0 and p4 are one group
    columns = {"image": "image", "label": "label", "masks": "mask", "group": "patient"}
    for seed in range(3):
        rows = Folder(str(root), table="table.csv", columns=columns, size=16, split_seed=seed).load()
        home = {name: split for split, part in rows.items() for name in part.ids}
        assert len({home[f"images/p{number}"] for number in (0, 1, 8, 9)}) == 1


# ------------------------------------------------------------------------------------------------------------- and also


def test_the_second_load_is_the_first(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 8)
    source = Folder(str(root), size=16)
    first, fingerprint = source.load(), source.files_fingerprint
    again = Folder(str(root), size=16)
    assert [part.fingerprint() for part in again.load().values()] == [part.fingerprint() for part in first.values()]
    assert again.files_fingerprint == fingerprint
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 1
    Folder(str(root), size=16, masks={"a": "{class}/{id}_mask", "b": "{class}/{id}_b"}).load()
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 2


@pytest.mark.parametrize("ending", ["zip", "gztar"])
def test_an_archive_is_as_good_as_its_folder(trees: Any, tmp_path: Path, ending: str) -> None:
    root = trees.folders(tmp_path / "mine", 8)
    path = Path(shutil.make_archive(str(tmp_path / "packed"), ending, root))
    assert load(path).fingerprint() == load(root).fingerprint()
    assert load(path).fingerprint() == load(root).fingerprint()


@pytest.mark.parametrize("option", ["folder", "ph2", "isic2018"])
def test_the_configuration_names_every_option(option: str) -> None:
    options = OmegaConf.to_container(OmegaConf.load(config_folder() / "data" / f"{option}.yaml"))
    assert isinstance(options, dict)
    names = [name for name in options if name not in ("_target_", "defaults")]
    parameters = inspect.signature(Folder).parameters
    assert set(names) <= set(parameters)
    if option == "folder":
        assert {str(name) for name in names} == set(parameters)
        said = {name: value for name, value in options.items() if name not in ("_target_", "root", "columns")}
        assert said == {name: parameters[str(name)].default for name in said}


@pytest.mark.parametrize("path", ["C:\\data\\{}", "{}\0"])
def test_a_table_whose_paths_are_wrong_is_not_said_to_lack_classes(path: str, tmp_path: Path, trees: Any) -> None:
    root = trees.folders(tmp_path / "set", 6)
    files = sorted(file for file in root.rglob("*.png") if "mask" not in file.name)
    rows = [f"{path.format(file.relative_to(root))},{file.parent.name}\n" for file in files]
    (root / "table.csv").write_text("image,label\n" + "".join(rows))
    source = Folder(root=str(root), table="table.csv", columns={"image": "image", "label": "label"})
    with pytest.raises(DataError, match=r"table\.csv', row 1"):
        _ = source.classes
