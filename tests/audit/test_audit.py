"""The results of an audit, on splits made by hand."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.files.scans import dicom

from tandem.audit.audit import audit
from tandem.audit.command import skipping
from tandem.audit.facts import EMPTY, FILLED, MISSING, facts_of, file_facts, thumbnails_of
from tandem.audit.remarks import remarks
from tandem.audit.tables import classes, columns, findings, levels, masks, modes, sizes
from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.files.records import Record
from tandem.data.folder import Folder
from tandem.data.samples import SPLITS, Samples
from tandem.data.targets import Targets

SIDE = 64


def samples(seed: int, split: str, count: int = 4) -> Samples:
    """Smooth noise; classes 0 and 1 in turn, a mask of 64 pixels for class 1."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray
    scenes = [
        np.asarray(coarse(rng.integers(0, 256, (9, 9), dtype=np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for _ in range(count)
    ]
    labels = torch.arange(count) % 2
    marked = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.uint8)
    marked[labels == 1, :, :8, :8] = 1
    images = torch.from_numpy(np.stack(scenes)[:, None])
    return Samples(images, labels, marked, tuple(f"{split}/{row}" for row in range(count)))


class Source:
    """Three splits of four images, as they are given."""

    name = "made"
    classes = ("benign", "malignant")
    channels = 1
    targets = Targets()

    def __init__(self, splits: Mapping[str, Samples]) -> None:
        self.splits = splits

    def load(self) -> Mapping[str, Samples]:
        return self.splits


@pytest.fixture
def splits() -> dict[str, Samples]:
    return {split: samples(seed, split) for seed, split in enumerate(SPLITS)}


def test_faultless_data_have_no_remarks(splits: dict[str, Samples]) -> None:
    found = audit(Source(splits), splits)
    assert remarks(found) == ["empty masks: 6"]
    assert classes(found).rows == (
        ("benign", 2, 2, 2, 6, "50.0%"),
        ("malignant", 2, 2, 2, 6, "50.0%"),
        ("all", 4, 4, 4, 12, "100.0%"),
    )
    share = f"{64 / SIDE**2:.1%}"
    assert masks(found).rows[1] == ("malignant", 6, 0, 0, share, share, share, share)


def test_an_image_in_two_splits_is_found_first_and_its_contradiction_named(splits: dict[str, Samples]) -> None:
    images = splits["test"].images.clone()
    images[0] = splits["train"].images[1]  # malignant in training, benign in the test
    images[1] = (splits["test"].images[3].float() * 0.9 + 12).byte()  # one lesion twice in one split
    splits["test"] = replace(splits["test"], images=images)
    found = audit(Source(splits), splits)
    assert found.alike is not None
    assert [(pair.one.id, pair.other.id) for pair in found.alike] == [("train/1", "test/0"), ("test/1", "test/3")]
    worst, within = found.alike
    assert (worst.across, worst.conflict, worst.identical, worst.distance) == (True, True, True, 0)
    assert worst.places == (1, 8)
    assert (within.across, within.conflict, within.identical) == (False, False, False)
    assert remarks(found)[:4] == [
        "near-duplicate pairs in different splits: 1 (1 train and test); evaluation is biased",
        "near-duplicate pairs with different classes: 1, the first: train/1 is malignant, test/0 is benign",
        "pairs of identical images: 1",
        "near-duplicate pairs within one split, as they should be: 1",
    ]


def test_the_search_for_near_duplicates_can_be_skipped(splits: dict[str, Samples]) -> None:
    assert audit(Source(splits), splits, distance=None).alike is None


def test_among_many_images_only_identical_ones_are_found(splits: dict[str, Samples]) -> None:
    images = splits["test"].images.clone()
    images[0] = splits["train"].images[1]
    images[1] = (splits["test"].images[3].float() * 0.9 + 12).byte()  # similar, not equal
    splits["test"] = replace(splits["test"], images=images)
    found = audit(Source(splits), splits, compare_up_to=11)
    assert found.alike is not None
    (pair,) = found.alike
    assert (pair.one.id, pair.other.id, pair.identical, pair.across) == ("train/1", "test/0", True, True)
    assert "among 12 images, only identical images" in remarks(found)[0]
    assert "compare_up_to=12 searches" in remarks(found)[0]
    whole = audit(Source(splits), splits, compare_up_to=12)
    assert len(whole.alike or ()) == 2
    assert whole.compared


def test_an_unknown_label_contradicts_nothing(splits: dict[str, Samples]) -> None:
    labels = splits["train"].labels.clone()
    labels[1] = MISSING_LABEL
    images = splits["test"].images.clone()
    images[0] = splits["train"].images[1]
    splits |= {"train": replace(splits["train"], labels=labels), "test": replace(splits["test"], images=images)}
    found = audit(Source(splits), splits)
    assert found.alike is not None
    assert [pair.conflict for pair in found.alike] == [False]
    assert "images without a label: 1" in remarks(found)
    assert classes(found).rows[2] == ("unknown", 1, 0, 0, 1, "8.3%")


def test_masks_are_filled_empty_or_missing_and_areas_are_of_known_pixels() -> None:
    made = samples(0, "train")
    made.masks[0] = MISSING_PIXEL
    made.masks[1, :, SIDE // 2 :] = MISSING_PIXEL
    made.masks[3] = 3  # a class of a mask with classes
    facts = facts_of("train", made, Source.classes)
    assert [fact.mask for fact in facts] == [MISSING, FILLED, EMPTY, FILLED]
    assert math.isnan(facts[0].area)
    assert [fact.area for fact in facts[1:]] == pytest.approx([64 / (SIDE * SIDE / 2), 0, 1])
    bare = replace(made, masks=torch.zeros(4, 0, SIDE, SIDE, dtype=torch.uint8))
    assert {fact.mask for fact in facts_of("train", bare, Source.classes)} == {""}


def test_flat_images_rare_classes_and_tiny_masks_are_named(splits: dict[str, Samples]) -> None:
    train = samples(5, "train", 30)
    train.images[3] = 7
    labels = torch.zeros(30, dtype=torch.int64)
    labels[29] = 1
    train.masks[5, 0] = 0
    train.masks[5, 0, 0, 0] = 1
    other = {split: replace(splits[split], labels=torch.zeros(4, dtype=torch.int64)) for split in ("val", "test")}
    given = {"train": replace(train, labels=labels), **other}
    lines = remarks(audit(Source(given), given))
    assert "images with a single grey value: 1, the first: train/3" in lines
    assert "class malignant is rare: 1 images, the most frequent class has 37" in lines
    assert any(line.startswith("masks of less than 0.2% of the image: 1, the first: train/5") for line in lines)


def test_findings_and_numbers_have_tables(splits: dict[str, Samples]) -> None:
    answers = torch.tensor([[1, 0], [0, 0], [1, MISSING_PIXEL], [0, 1]], dtype=torch.uint8)
    ages = torch.tensor([40.0, torch.nan, 60.0, 50.0])
    given = {split: replace(part, findings=answers, columns={"age": ages}) for split, part in splits.items()}
    source = Source(given)
    source.targets = Targets(findings=("cyst", "mass"), columns=("age",))
    found = audit(source, given)
    assert ("cyst", "train", 2, 2, 0, "50.0%") in findings(found).rows
    assert ("mass", "test", 1, 2, 1, "33.3%") in findings(found).rows
    assert ("age", "val", "40", "50", "60", 1) in columns(found).rows


def test_files_are_described_by_their_headers_and_an_unreadable_one_does_not_crash(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    Image.new("L", (10, 20)).save(tmp_path / "b.jpg")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\nnot an image")
    names = ("a.png", "b.jpg", "c.png", "absent.png")
    files = file_facts([Record(name, tmp_path / name) for name in names])
    found = [(file.width, file.height, file.mode, file.format) for file in files]
    assert found == [(30, 20, "RGB", "PNG"), (10, 20, "L", "JPEG"), (0, 0, "?", "?"), (0, 0, "?", "?")]
    splits = {split: samples(seed, split) for seed, split in enumerate(SPLITS)}
    whole = replace(audit(Source(splits), splits), files=tuple(files))
    assert modes(whole).rows == (("?", "?", "?", 2), ("PNG", "RGB", "uint8", 1), ("JPEG", "L", "uint8", 1))
    assert sizes(whole).rows == (("width", 10, 20, 30, 2), ("height", 20, 20, 20, 1))


def test_faults_are_skipped_in_each_source_that_can() -> None:
    mixed = {"sources": {"one": {"on_error": "fail"}, "other": {"size": 3}}, "size": 3}
    assert skipping(mixed) == {"sources": {"one": {"on_error": "skip"}, "other": {"size": 3}}, "size": 3}
    assert mixed["sources"] == {"one": {"on_error": "fail"}, "other": {"size": 3}}


def test_the_levels_in_use_are_counted_by_depth(splits: dict[str, Samples]) -> None:
    (only,) = audit(Source(splits), splits).levels
    every = torch.cat([samples.images for samples in splits.values()]).numpy()
    assert (only.deep, only.images, only.bits, only.ends) == (False, 12, 8, (0.0, 255.0))
    assert only.quantiles == tuple(np.quantile(every, (0, 0.5, 1), method="lower").tolist())
    np.testing.assert_array_equal(only.counts, np.histogram(every, 64, (0, 256))[0])


def test_files_of_different_depth_are_remarked_upon_with_their_classes(splits: dict[str, Samples]) -> None:
    for split, part in splits.items():  # the malignant ones use 12 bits
        deep = part.labels == 1
        images = torch.where(deep[:, None, None, None], part.images.int() * 16, part.images.int()).to(torch.uint16)
        ends = torch.where(deep[:, None], torch.tensor([16.0, 4000.0]), torch.tensor([0.0, 255.0]))
        splits[split] = replace(part, images=images, levels=ends)
    found = audit(Source(splits), splits)
    low, high = found.levels
    assert (low.deep, low.images, low.by_class) == (False, 6, {"benign": 6, "malignant": 0})
    assert (high.deep, high.images, high.by_class, high.bits) == (True, 6, {"benign": 0, "malignant": 6}, 12)
    assert [row[0] for row in levels(found).rows] == ["8 bits", "over 8 bits"]
    assert levels(found).rows[1][-3:] == (12, "16", "4000")
    lines = remarks(found)
    assert lines[0].startswith("images of more than 8 bits: 6, with levels from ")
    assert lines[0].endswith("which need 12 bits; 16 becomes black and 4000 white")
    assert "files differ in depth, which may give away the class (8 bits, 0 to 255: 6 benign, 0 malignant;" in lines[1]
    assert len(thumbnails_of(splits)) == 12


def test_the_size_of_pixels_is_remarked_upon(tmp_path: Path) -> None:
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8)).astype("u1")
        dicom(
            tmp_path / "d" / "ab"[number % 2] / f"{number}.dcm", pixels, **({"PixelSpacing": [1, 1]} if number else {})
        )
    source = Folder(str(tmp_path / "d"), size=8, masks=None, cache=str(tmp_path / "c"))
    lines = remarks(audit(source, source.load()))
    assert "images whose size of pixels is known: 11 of 12; distances are nan where one without counts" in lines
