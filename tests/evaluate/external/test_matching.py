"""Targets of another set are matched by name, never by position."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.datamodule import DataInfo
from tandem.data.files.masks import MaskValues, mask_values
from tandem.data.files.own_masks import FileMasks
from tandem.data.files.placement import Placement
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.evaluate.external.matching import match_classes, match_files, match_targets

OURS = DataInfo("ours", ("normal", "benign", "malignant"), 1)


def rows(labels: list[int], masks: torch.Tensor | None = None, **more: Any) -> Samples:
    count = len(labels)
    masks = torch.zeros(count, 1, 4, 4, dtype=torch.uint8) if masks is None else masks
    images = torch.zeros(count, 1, 4, 4, dtype=torch.uint8)
    return Samples(images, torch.tensor(labels), masks, tuple(f"i{row}" for row in range(count)), **more)


def test_classes_keep_their_names_in_another_order() -> None:
    theirs = replace(OURS, classes=("malignant", "cyst", "normal"))
    found, said = match_targets(rows([0, 1, 2, MISSING_LABEL]), theirs, OURS, {"cyst": "benign"}, labelled=True)
    assert found.labels.tolist() == [2, 1, 0, MISSING_LABEL]
    assert said == []


def test_classes_are_dropped_or_unknown_by_choice_and_missing_ones_are_named() -> None:
    theirs = replace(OURS, classes=("benign", "scar", "cyst"))
    found, said = match_targets(rows([0, 1, 2]), theirs, OURS, {"scar": "drop", "cyst": None}, labelled=True)
    assert (found.labels.tolist(), found.ids) == ([1, MISSING_LABEL], ("i0", "i2"))
    assert "no images of normal and malignant" in said[0]
    assert said[1] == "1 images of dropped classes are left out"


def test_an_extra_class_is_refused_with_the_option_that_maps_it() -> None:
    with pytest.raises(DataError, match=r"lacks \(Benign, cyst; .*'classes=\{Benign: benign, cyst: drop\}'"):
        match_classes(["Benign", "cyst"], OURS.classes, {}, ["Benign", "cyst"])
    assert match_classes(["benign", "cyst"], OURS.classes, {}, ["benign"])[0][0] == 1, "a class without images is none"
    with pytest.raises(ConfigError, match=r"classes names 'cysts', which the other set lacks.*cyst"):
        match_classes(["cyst"], OURS.classes, {"cysts": "benign"}, ["cyst"])
    with pytest.raises(ConfigError, match=r"classes.cyst is 'begnin', which is no class of the run.*benign"):
        match_classes(["cyst"], OURS.classes, {"cyst": "begnin"}, ["cyst"])


def test_classes_stay_where_no_task_learns_from_them() -> None:
    theirs = replace(OURS, classes=("a", "b"))
    assert match_targets(rows([0, 1]), theirs, OURS, {}, labelled=False)[0].labels.tolist() == [0, 1]
    with pytest.raises(ConfigError, match="no task of the run learns from them"):
        match_targets(rows([0]), theirs, OURS, {"a": "benign"}, labelled=False)


def test_mask_channels_and_further_targets_are_matched_by_name() -> None:
    ours = replace(OURS, mask_channels=("cyst", "lesion"), findings=("shadow", "halo"), columns=("age",))
    theirs = replace(ours, mask_channels=("lesion", "vessel"), findings=("halo",), columns=("bmi",))
    masks = torch.zeros(1, 2, 4, 4, dtype=torch.uint8)
    masks[0, 0, 1, 1] = 1
    findings = torch.tensor([[1]], dtype=torch.uint8)
    found, _ = match_targets(rows([0], masks, findings=findings), theirs, ours, {}, labelled=False)
    assert (found.masks[0, 0] == MISSING_PIXEL).all()
    assert torch.equal(found.masks[0, 1], masks[0, 0])
    assert found.findings is not None
    assert found.findings.tolist() == [[MISSING_PIXEL, 1]]
    assert list(found.columns) == ["age"]
    assert bool(found.columns["age"].isnan().all())


def test_mask_classes_are_matched_by_name() -> None:
    ours = replace(OURS, mask_channels=(), mask_classes=("background", "a", "b"))
    theirs = replace(ours, mask_classes=("background", "b"))
    masks = torch.tensor([[[[0, 1, 255, 0]] * 4]], dtype=torch.uint8)
    found, _ = match_targets(rows([0], masks), theirs, ours, {}, labelled=False)
    assert found.masks[0, 0, 0].tolist() == [0, 2, 255, 0]
    with pytest.raises(DataError, match="the class 'c', which the run lacks"):
        match_targets(rows([0], masks), replace(ours, mask_classes=("background", "c")), ours, {}, labelled=False)


def test_one_mask_of_another_name_is_taken_and_said() -> None:
    theirs = replace(OURS, mask_channels=("tumour",))
    assert match_targets(rows([0]), theirs, OURS, {}, labelled=False)[1] == ["masks of 'tumour' are taken as 'lesion'"]


# ------------------------------------------------------------------------------------------------------- masks of files


def of_files(tmp_path: Path, count: int, values: MaskValues | None = None) -> FileMasks:
    """One file of masks for each channel: 3 x 4 pixels, of which as many are set as its number says."""
    paths = []
    for number in range(count):
        drawn = np.zeros((3, 4), np.uint8)
        drawn.flat[: number + 1] = 1
        Image.fromarray(drawn).save(tmp_path / f"{number}.png")
        paths.append((tmp_path / f"{number}.png",))
    return FileMasks(Placement("squash", 3, 4, 4), tuple(paths), values, tmp_path / "image.png")


def test_channels_of_files_are_matched_by_name(tmp_path: Path) -> None:
    ours = replace(OURS, mask_channels=("cyst", "lesion"))
    theirs = replace(OURS, mask_channels=("lesion", "vessel"))
    found = match_files({"i0": of_files(tmp_path, 2)}, theirs, ours)["i0"].read()
    assert (found[0] == MISSING_PIXEL).all()
    assert found[1].sum() == 1
    same = match_files({"i0": of_files(tmp_path, 2)}, theirs, theirs)["i0"].read()
    assert same.sum((1, 2)).tolist() == [1, 2]


def test_one_mask_of_another_name_is_taken_of_files_too(tmp_path: Path) -> None:
    theirs = replace(OURS, mask_channels=("tumour",))
    assert match_files({"i0": of_files(tmp_path, 1)}, theirs, OURS)["i0"].read().sum() == 1
    classes = replace(OURS, mask_channels=(), mask_classes=("background", "a"))
    assert match_files({"i0": of_files(tmp_path, 1)}, theirs, classes) == {}


def test_classes_of_files_are_matched_by_name(tmp_path: Path) -> None:
    ours = replace(OURS, mask_channels=(), mask_classes=("background", "a", "b"))
    theirs = replace(ours, mask_classes=("background", "b"))
    Image.fromarray(np.array([[0, 7, 9, 7]], np.uint8)).save(tmp_path / "m.png")
    values = mask_values({"0": "background", "7": "b", "9": "ignore"})
    file = FileMasks(Placement("squash", 1, 4, 4), (((tmp_path / "m.png"),),), values, tmp_path / "image.png")
    assert file.read().tolist() == [[[0, 1, MISSING_PIXEL, 1]]]
    assert match_files({"i0": file}, theirs, ours)["i0"].read().tolist() == [[[0, 2, MISSING_PIXEL, 2]]]
