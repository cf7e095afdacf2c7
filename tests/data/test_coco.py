"""COCO's annotation files as a data set."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from tandem.config.shipped import config_folder
from tandem.data.checks import check_splits
from tandem.data.coco import Coco
from tandem.data.datamodule import DataModule
from tandem.data.folder import Folder
from tandem.data.samples import Samples, join_samples
from tandem.errors import ConfigError, DataError

CATEGORIES = [{"id": 7, "name": "cyst"}, {"id": 2, "name": "tumour"}]
BOX = [[8, 4, 16, 4, 16, 12, 8, 12]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def annotated(
    trees: Any, root: Path, numbers: range, file: str = "annotations/instances.json", folder: str = "images"
) -> dict[str, Any]:
    """Images of 24 x 20 pixels; every fourth has no object, the others one, a cyst or a tumour in turn."""
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": CATEGORIES}
    for number in numbers:
        trees.save(root / folder / f"x{number}.png", trees.noise(number))
        content["images"].append({"id": number, "file_name": f"x{number}.png", "height": 20, "width": 24})
        if number % 4:
            one = {"id": number, "image_id": number, "category_id": (7, 2)[number % 2], "segmentation": BOX}
            content["annotations"].append(one)
    save(root / file, content)
    return content


def save(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def load(root: Path, **options: Any) -> Samples:
    source = Coco(str(root), **{"annotations": "annotations/instances.json", "size": 24, **options})
    splits = source.load()
    check_splits(source.name, splits, source.classes, source.targets)
    whole = join_samples([splits[split] for split in ("train", "val", "test")])
    return whole.pick(sorted(range(len(whole)), key=lambda row: int(whole.ids[row].rpartition("x")[2])))


def test_objects_become_masks_and_images_without_any_have_an_empty_one(trees: Any, tmp_path: Path) -> None:
    annotated(trees, tmp_path / "mine", range(24))
    rows = load(tmp_path / "mine")
    assert rows.images.shape == (24, 3, 24, 24)
    assert rows.masks.flatten(1).any(1).tolist() == [number % 4 > 0 for number in range(24)]
    assert rows.masks[1, 0].sum() / 24**2 == pytest.approx(8 * 8 / (20 * 24), abs=0.02)
    assert set(np.unique(rows.masks).tolist()) == {0, 1}


def test_they_are_the_masks_of_the_same_images_in_folders(trees: Any, tmp_path: Path) -> None:
    annotated(trees, tmp_path / "mine", range(16))
    for number in range(16):
        mask = trees.box() * 0
        mask[4:12, 8:16] = 255 * (number % 4 > 0)
        trees.save(tmp_path / "mine" / "masks" / f"x{number}.png", mask)
    shared: dict[str, Any] = {
        "size": 24,
        "channels": 3,
        "images": "images/{id}",
        "masks": "masks/{id}",
        "near_duplicates": False,
    }
    folder = Folder(str(tmp_path / "mine"), **shared).load()
    splits = Coco(str(tmp_path / "mine"), "annotations/instances.json", size=24, near_duplicates=False).load()
    for split, part in splits.items():
        assert part.ids == folder[split].ids
        assert torch.equal(part.masks, folder[split].masks)
        assert torch.equal(part.images, folder[split].images)


def test_categories_as_channels_and_as_the_class(trees: Any, tmp_path: Path) -> None:
    content = annotated(trees, tmp_path / "mine", range(24))
    both = {"id": 99, "image_id": 1, "category_id": 7, "segmentation": BOX}
    save(
        tmp_path / "mine" / "annotations" / "instances.json",
        {**content, "annotations": [*content["annotations"], both]},
    )
    source = Coco(str(tmp_path / "mine"), "annotations/instances.json", masks="categories", label=True)
    assert source.targets.mask_channels == source.classes == ("tumour", "cyst")
    rows = load(tmp_path / "mine", masks="categories", label=True)
    assert rows.labels[:6].tolist() == [-100, -100, 1, 0, -100, 0]
    assert rows.masks.flatten(2).any(2)[:4].tolist() == [[False] * 2, [True] * 2, [False, True], [True, False]]


def test_crowds_are_ignored_and_boxes_alone_unknown(trees: Any, tmp_path: Path) -> None:
    content = annotated(trees, tmp_path / "mine", range(24))
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1]["segmentation"] = []
    save(tmp_path / "mine" / "annotations" / "instances.json", content)
    rows = load(tmp_path / "mine")
    assert np.unique(rows.masks[1]).tolist() == [0, 255]
    assert np.unique(rows.masks[2]).tolist() == [255]


@pytest.mark.parametrize("val", [True, False])
def test_a_file_for_each_split(trees: Any, tmp_path: Path, val: bool) -> None:
    parts = {"train": range(16), "valid": range(16, 24), "test": range(24, 32)}
    for name, numbers in parts.items():
        annotated(trees, tmp_path / "mine", numbers, f"{name}/_annotations.coco.json", name)
    files = {name: f"{name}/_annotations.coco.json" for name in parts if val or name != "valid"}
    splits = Coco(str(tmp_path / "mine"), files, size=24).load()
    assert {split: len(part) for split, part in splits.items()}["test"] == 8
    assert sum(map(len, splits.values())) == (32 if val else 24)


def test_the_data_do_not_depend_on_where_they_and_the_cache_are(trees: Any, tmp_path: Path) -> None:
    annotated(trees, tmp_path / "mine", range(24))
    shutil.copytree(tmp_path / "mine", tmp_path / "moved")
    found = []
    for root, cache in (("mine", "a"), ("moved", "b"), ("mine", "a")):
        source = Coco(str(tmp_path / root), "annotations/instances.json", size=24, cache=str(tmp_path / cache))
        data = DataModule(source, None, batch_size=4, workers=0, seed=0)
        data.setup()
        inventory = data.inventory()
        assert inventory is not None
        found.append((data.fingerprint(), inventory.digest()))
        assert "annotations/instances.json" in inventory.parts[""].files
    assert found[0] == found[1] == found[2]


def test_images_that_may_lie_in_two_folders_are_asked_for(trees: Any, tmp_path: Path) -> None:
    annotated(trees, tmp_path / "mine", range(8), folder="one")
    shutil.copytree(tmp_path / "mine" / "one", tmp_path / "mine" / "other")
    with pytest.raises(DataError, match=r"'x0\.png' of '.*' is in 'one' and 'other': set data\.images to one of them"):
        load(tmp_path / "mine")
    assert len(load(tmp_path / "mine", images="other")) == 8


FAULTS: dict[str, tuple[Any, str]] = {
    "an image that is not there": (
        lambda c: c["images"][3].update(file_name="y.png"), r"image 'y\.png' is not below .* set data\.images"
    ),
    "no size": (lambda c: c["images"][3].pop("height"), "image 3 needs file_name, height and width"),
    "another size": (lambda c: c["images"][3].update(height=24, width=20), r"is 20x24, but its image is 24x20"),
    "an unknown category": (lambda c: c["annotations"][0].update(category_id=5), "annotation 1 is of an unknown image"),
    "a polygon of a line": (
        lambda c: c["annotations"][0].update(segmentation=[[1, 1, 2, 2]]),
        r"image 'x1\.png': annotation 1: a polygon has 4 numbers",
    ),
    "a segmentation of words": (
        lambda c: c["annotations"][0].update(segmentation=["abcdef"]), "annotation 1 has a segmentation that cannot be"
    ),
    "a path out of the root": (lambda c: c["images"][3].update(file_name="../../y.png"), "leads out of"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "line"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_of_images_are_named_or_skipped(trees: Any, tmp_path: Path, fault: Any, line: str) -> None:
    content = annotated(trees, tmp_path / "mine", range(24))
    fault(content)
    save(tmp_path / "mine" / "annotations" / "instances.json", content)
    for _ in range(2):  # also from the cache
        with pytest.raises(DataError, match=line):
            load(tmp_path / "mine")
    assert len(load(tmp_path / "mine", on_error="skip")) in (23, 24)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("[", "is not a JSON file"),
        ("{}", "is not a COCO file: it needs lists of images, annotations, categories"),
        ('{"images": [{}], "annotations": [], "categories": []}', "has an entry without an id"),
    ],
)
def test_other_files_are_refused(trees: Any, tmp_path: Path, content: str, line: str) -> None:
    annotated(trees, tmp_path / "mine", range(4))
    (tmp_path / "mine" / "annotations" / "instances.json").write_text(content)
    with pytest.raises(DataError, match=line):
        load(tmp_path / "mine")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"annotations": "../x.json"}, r"data\.annotations is '\.\./x\.json', but must lie below"),
        ({"annotations": []}, r"data\.annotations is empty"),
        ({"annotations": {"tran": "x.json"}}, r"data\.annotations has the splits tran; use train, val, test"),
        ({"annotations": "x.json", "masks": "all"}, r"data\.masks is 'all'"),
        ({"annotations": "x.json", "images": "/x"}, r"data\.images is '/x', but must lie below"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Coco("absent", **options)


def test_the_configuration_names_every_option_and_its_default() -> None:
    options = OmegaConf.to_container(OmegaConf.load(config_folder() / "data" / "coco.yaml"))
    assert isinstance(options, dict)
    given = {str(key): value for key, value in options.items() if key not in ("_target_", "root", "annotations")}
    configured, plain = Coco("x", "y.json", **given), Coco("x", "y.json")
    assert {**vars(configured), "storage": None} == {**vars(plain), "storage": None}
