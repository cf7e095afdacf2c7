"""Faulty splits are refused with data set, split, id and value."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.checks import check_splits
from tandem.data.samples import SPLITS, Samples
from tandem.errors import DataError

CLASSES = ("normal", "benign", "malignant")
Make = Callable[..., Samples]
Splits = dict[str, Samples]


@pytest.fixture
def splits(tiny_samples: Make) -> Splits:
    """Three good splits of six rows, two of each class."""
    return {split: tiny_samples(6, split) for split in SPLITS}


def test_good_splits_pass(splits: Splits) -> None:
    check_splits("tiny", splits, CLASSES)


def test_missing_targets_are_no_fault(splits: Splits) -> None:
    splits["train"].labels[:3] = MISSING_LABEL
    splits["train"].masks[2:] = MISSING_PIXEL
    splits["val"].masks[0, 0, 0, :3] = MISSING_PIXEL
    check_splits("tiny", splits, CLASSES)


def test_a_split_without_any_label_is_no_fault(splits: Splits) -> None:
    splits["train"].labels[:] = MISSING_LABEL
    check_splits("tiny", splits, CLASSES)


Fault = Callable[[Splits, Make], Mapping[str, Samples]]


def without(split: str) -> Fault:
    return lambda splits, make: {name: samples for name, samples in splits.items() if name != split}


def emptied(split: str) -> Fault:
    return lambda splits, make: {**splits, split: make(0, split)}


def valued(split: str, part: str, place: Any, value: int) -> Fault:
    def fault(splits: Splits, make: Make) -> Splits:
        getattr(splits[split], part)[place] = value
        return splits

    return fault


def renamed(split: str, ids: tuple[str, ...]) -> Fault:
    return lambda splits, make: {**splits, split: replace(splits[split], ids=ids)}


def grouped(val: str, test: str) -> Fault:
    def fault(splits: Splits, make: Make) -> Splits:
        names = {"train": "a", "val": val, "test": test}
        return {split: replace(splits[split], groups=(name,) * 6) for split, name in names.items()}

    return fault


FAULTS: dict[str, tuple[Fault, str]] = {
    "no train": (without("train"), r"^data 'tiny': the split 'train' is empty; add images to it$"),
    "no test": (without("test"), r"^data 'tiny': the split 'test' is empty"),
    "empty val": (emptied("val"), r"^data 'tiny': the split 'val' is empty"),
    "mask 2": (
        valued("val", "masks", (4, 0, 1, 1), 2),
        r"^data 'tiny', val 'val/4': mask value 2; a mask holds 0, 1 or",
    ),
    "mask 254": (valued("train", "masks", (0, 0, 0, 0), 254), r"^data 'tiny', train 'train/0': mask value 254; "),
    "label 3": (
        valued("test", "labels", 5, 3),
        r"^data 'tiny', test 'test/5': label 3; labels are 0 to 2, or -100 where",
    ),
    "label -1": (valued("train", "labels", 1, -1), r"^data 'tiny', train 'train/1': label -1; "),
    "label -101": (valued("train", "labels", 1, -101), r"^data 'tiny', train 'train/1': label -101; "),
    "no benign in val": (
        valued("val", "labels", [1, 4], 0),
        r"^data 'tiny': class 'benign' is missing from split 'val' \(6 images\); make the split larger or choose",
    ),
    "no malignant in test": (
        valued("test", "labels", [2, 5], MISSING_LABEL),
        r"class 'malignant' is missing from split",
    ),
    "an id in two splits": (
        renamed("test", ids=("a", "b", "train/3", "c", "d", "e")),
        r"^data 'tiny': image 'train/3' is in both 'train' and 'test'$",
    ),
    "a group in two splits": (grouped("b", "a"), r"^data 'tiny': group 'a' is in both 'train' and 'test'$"),
    "a group in val and test": (grouped("b", "b"), r"^data 'tiny': group 'b' is in both 'val' and 'test'$"),
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_split_is_refused(splits: Splits, tiny_samples: Make, fault: Fault, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_splits("tiny", fault(splits, tiny_samples), CLASSES)


def test_groups_that_stay_in_their_split_pass(splits: Splits, tiny_samples: Make) -> None:
    check_splits("tiny", grouped("b", "c")(splits, tiny_samples), CLASSES)


def test_groups_in_one_split_only_pass(splits: Splits) -> None:
    splits["train"] = replace(splits["train"], groups=("a",) * 6)
    check_splits("tiny", splits, CLASSES)
