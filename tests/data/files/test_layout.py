"""Folders mean what they seem to mean: links, endings, spellings; what is not used is counted and named."""

import logging
import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.data.files.unused import Unused
from tandem.data.files.walk import walk
from tandem.data.folder import Folder
from tandem.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def ids(root: Path, **options: Any) -> list[str]:
    """The ids of all images of a folder."""
    splits = Folder(str(root), **{"size": 16, "near_duplicates": False, **options}).load()
    return sorted(name for part in splits.values() for name in part.ids)


def unused(root: Path, **options: Any) -> dict[str, int]:
    """The number of files that are not used, by ending and reason."""
    source = Folder(str(root), **{"size": 16, "near_duplicates": False, **options})
    source.load()
    return {f"{kind['ending']} {kind['reason']}".strip(): kind["count"] for kind in source.notes["unused"]}


# ---------------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("linked", [("malignant",), ("benign", "malignant")])
def test_linked_folders_are_read(trees: Any, tmp_path: Path, linked: tuple[str, ...]) -> None:
    store, root = trees.folders(tmp_path / "store", 6), tmp_path / "root"
    expected = ids(store)
    for name in trees.classes:
        root.mkdir(exist_ok=True)
        if name in linked:
            (root / name).symlink_to(store / name, target_is_directory=True)
        else:
            shutil.copytree(store / name, root / name)
    assert ids(root) == expected
    assert unused(root) == {}


def test_a_loop_of_links_ends_and_is_counted(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    expected = ids(root)
    (root / "benign" / "up").symlink_to("..", target_is_directory=True)
    (root / "self").symlink_to("self")
    assert ids(root) == expected
    assert unused(root) == {"links to a folder that contains them": 1, "not images": 1}


def test_a_link_to_a_folder_that_is_read_anyway_adds_no_images(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    expected = ids(root)
    (root / "latest").symlink_to("benign", target_is_directory=True)
    assert ids(root) == expected
    assert unused(root) == {".png the same files as others that are read without a link": 12}


def test_two_links_to_one_folder_are_a_fault_of_each_image(trees: Any, tmp_path: Path) -> None:
    store, root = trees.folders(tmp_path / "store", 6), tmp_path / "root"
    root.mkdir()
    for name in ("benign", "malignant"):
        (root / name).symlink_to(store / "benign", target_is_directory=True)
    with pytest.raises(DataError, match=r"malignant/a0\.png' is '.*benign/a0\.png', through links: remove one"):
        Folder(str(root), size=16).load()


def test_folders_that_link_to_each_other_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.data.files.walk.MOST_LINKS", 50)
    for one in "abcdef":
        (tmp_path / one).mkdir()
        for other in "abcdef":
            (tmp_path / one / f"to_{other}").symlink_to(tmp_path / other, target_is_directory=True)
    with pytest.raises(DataError, match="one of more than 50 linked folders: remove links"):
        list(walk(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_closed_folder_is_counted(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    (root / "closed").mkdir(mode=0)
    assert unused(root) == {"folders that cannot be read": 1}


# --------------------------------------------------------------------------------------------------------------- unused


def test_every_file_that_is_not_used_is_counted_and_masks_come_first(
    trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = trees.folders(tmp_path / "root", 8)
    for number in range(3):
        (root / "benign" / f"a{number}_mask.png").unlink()
        np.save(root / "benign" / f"a{number}_mask.npy", trees.box())
    trees.save(root / "stray.png", trees.noise(99))
    (root / "benign" / "scan.xcf").write_bytes(b"x")
    (root / "notes.txt").write_text("x")
    (root / ".hidden").write_text("x")
    (root / ".git").mkdir()
    (root / "LICENSE").write_text("x")
    assert unused(root) == {
        ".npy masks in a format that is not read; their images count as images without a mask": 3,
        ".xcf images in a format that is not read": 1,
        ".png match neither data.images nor data.masks": 1,
        "not images": 1,
        ".txt not images": 1,
        "hidden": 2,
    }
    line = next(record for record in caplog.records if "not used" in record.getMessage())
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("data folder: 9 files below data.root not used: 3 .npy (masks in a format")
    assert "the first: 'benign/a0_mask.npy'" in line.getMessage()


def test_files_that_cost_nothing_are_no_warning(trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = trees.folders(tmp_path / "root", 6)
    (root / "notes.txt").write_text("x")
    caplog.set_level(logging.INFO)
    unused(root)
    assert [record.levelno for record in caplog.records if "not used" in record.getMessage()] == [logging.INFO]


def test_a_mask_that_cannot_be_read_never_becomes_an_empty_one(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    (root / "benign" / "a0_mask.png").rename(root / "benign" / "a0_mask.npy")
    with pytest.raises(DataError, match=r"a0_mask\.npy' is in a format that is not read.*set data\.no_mask=missing"):
        Folder(str(root), size=16, no_mask="empty").load()


def test_the_mask_of_an_image_that_cannot_be_read_names_it(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    (root / "benign" / "a0.png").rename(root / "benign" / "a0.npy")
    with pytest.raises(DataError, match=r"a0_mask\.png' belongs to '.*a0\.npy', which is in a format that is not read"):
        Folder(str(root), size=16).load()


def test_unused_names_are_text() -> None:
    found = Unused()
    found.add("b\udce9.png", "hidden")
    assert found.to_json()[0]["first"] == ["b\\udce9.png"]


# -------------------------------------------------------------------------------------------------------------- endings


def test_two_files_of_one_name_are_named_and_the_lossless_one_proposed(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    for number in range(6):
        Image.open(root / "benign" / f"a{number}_mask.png").convert("L").save(root / "benign" / f"a{number}_mask.jpg")
    with pytest.raises(DataError) as caught:
        Folder(str(root), size=16).load()
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("6 of 12 images cannot be used; the first: mask ")
    assert "a0_mask.png' and " in lines[0]
    assert "a0_mask.jpg' are both 'benign/a0_mask': rename one, or set " in lines[0]
    assert "'data.masks=\"{class}/{id}_mask*.png\"' (lossless)" in lines[0]
    assert len(lines) == 4
    assert len(ids(root, masks="{class}/{id}_mask*.png")) == 12
    assert unused(root, masks="{class}/{id}_mask*.png") == {".jpg match neither data.images nor data.masks": 6}


def test_images_and_masks_may_differ_in_their_ending_only(trees: Any, tmp_path: Path) -> None:
    for number in range(12):
        trees.save(tmp_path / "root" / f"a{number}.png", trees.noise(number))
        trees.save(tmp_path / "root" / f"a{number}.bmp", trees.box())
    for images in ("{id}", "{id}.png"):
        source = Folder(str(tmp_path / "root"), size=16, images=images, masks="{id}.bmp")
        assert sum(int((part.masks == 1).flatten(1).any(1).sum()) for part in source.load().values()) == 12


def test_an_ending_chooses_among_images_in_any_case(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    trees.save(root / "benign" / "a0.jpg", trees.noise(7))
    with pytest.raises(
        DataError, match=r"are both 'benign/a0': rename one, or set 'data\.images=\"\{class\}/\{id\}\.png"
    ):
        Folder(str(root), size=16).load()
    (root / "benign" / "a1.png").rename(root / "benign" / "a1.PNG")
    assert len(ids(root, images="{class}/{id}.png")) == 12


# ---------------------------------------------------------------------------------------------------------------- names


def test_both_spellings_of_accents_are_one_name(trees: Any, tmp_path: Path) -> None:
    for number in range(12):
        name = f"bénin/é{number}"
        trees.save(tmp_path / "root" / f"{unicodedata.normalize('NFC', name)}.png", trees.noise(number))
        trees.save(tmp_path / "root" / f"{unicodedata.normalize('NFD', name)}_mask.png", trees.box())
    source = Folder(str(tmp_path / "root"), size=16)
    splits = source.load()
    assert source.classes == ("bénin",)
    assert sum(int((part.masks == 1).flatten(1).any(1).sum()) for part in splits.values()) == 12


def test_a_name_that_is_no_text_is_named_if_the_file_would_be_used(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    name = os.fsdecode(b"b\xe9.png")
    trees.save(root / name, trees.noise(5))
    assert len(ids(root)) == 12
    (root / name).rename(root / "benign" / name)
    with pytest.raises(DataError, match=r"the name of '.*benign/b\\udce9\.png' is not UTF-8: rename the file"):
        Folder(str(root), size=16).load()


def test_a_pattern_that_takes_images_for_masks_is_named(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "root", 6)
    with pytest.raises(DataError, match=r"all 24 files .* match data\.masks too, .* make data\.masks narrower"):
        Folder(str(root), masks="{class}/{id}*").load()
    faces = tmp_path / "faces"
    for number in range(6):
        trees.save(faces / "with_mask" / f"with_mask_{number}.png", trees.noise(number))
        trees.save(faces / "without" / f"w{number}.png", trees.noise(50 + number))
    with pytest.raises(
        DataError, match=r"with_mask_0\.png' belongs to no image.*or make data\.masks narrower if it is"
    ):
        Folder(str(faces)).load()
    assert len(ids(faces, masks=None)) == 12
