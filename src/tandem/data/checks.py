"""Checks that every data set must pass before training."""

from collections.abc import Mapping, Sequence

import torch

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.loading.storage import Stored, chunks
from tandem.data.samples import SPLITS, Samples
from tandem.data.targets import Targets
from tandem.errors import DataError

ONE_MASK = Targets()


def check_splits(
    name: str,
    splits: Mapping[str, Samples],
    classes: Sequence[str],
    targets: Targets = ONE_MASK,
    *,
    apart: bool = True,
) -> None:
    """Raises if the splits would train or be scored without an error but give meaningless results.

    Args:
        name: the data set, for messages.
        splits: the splits by name.
        classes: names of the classes.
        targets: the targets that rows may have besides their class.
        apart: whether a group must be in one split only.

    Raises:
        DataError: a split is missing or empty, an id or group is in two splits, a target value is not allowed, or a
            split lacks a class.
    """
    for split in SPLITS:
        if split not in splits or len(splits[split]) == 0:
            raise DataError(f"data '{name}': the split '{split}' is empty; add images to it")
        check_samples(name, split, splits[split], classes, targets)
        _check_classes(name, split, splits[split], classes)
    _check_apart(name, {split: samples.ids for split, samples in splits.items()}, "image")
    if apart:
        _check_apart(name, {split: samples.groups for split, samples in splits.items()}, "group")


def check_samples(name: str, split: str, samples: Samples, classes: Sequence[str], targets: Targets = ONE_MASK) -> None:
    """Raises if the targets of some rows are not those that their data set declares; a class may be absent.

    Args:
        name: the data set, for messages.
        split: name of the rows, for messages.
        samples: the rows.
        classes: names of the classes.
        targets: the targets that rows may have besides their class.

    Raises:
        DataError: a target value is not allowed.
    """
    _check_offered(name, split, samples, targets)
    _check_masks(name, split, samples, targets.mask_values)
    _check_labels(name, split, samples, len(classes))
    _check_further(name, split, samples)


def _check_offered(name: str, split: str, samples: Samples, targets: Targets) -> None:
    """Raises if the rows do not have the targets that the source declares."""
    found = 0 if samples.findings is None else samples.findings.shape[1]
    for what, has, declared in (
        ("mask channels", samples.masks.shape[1], targets.mask_depth),
        ("findings", found, len(targets.findings)),
        ("columns", sorted(samples.columns), sorted(targets.columns)),
    ):
        if has != declared:
            raise DataError(f"data '{name}': the split '{split}' has {what} {has}, but the source declares {declared}")


def _check_masks(name: str, split: str, samples: Samples, values: int) -> None:
    if isinstance(samples.masks, Stored) and samples.masks.checked:
        return
    before = 0
    for masks in chunks(samples.masks):
        wrong = (masks >= values) & (masks != MISSING_PIXEL)
        if wrong.any():
            row = int(wrong.flatten(1).any(1).nonzero()[0])
            value = int(masks[row][wrong[row]][0])
            allowed = "0, 1" if values == 2 else f"0 to {values - 1}"
            raise DataError(
                f"data '{name}', {split} '{samples.ids[before + row]}': mask value {value}; a mask holds {allowed} or "
                "255 (missing)"
            )
        before += len(masks)


def _check_labels(name: str, split: str, samples: Samples, classes: int) -> None:
    labels = samples.labels
    bad = ((labels < 0) & (labels != MISSING_LABEL)) | (labels >= classes)
    if bad.any():
        row = int(bad.nonzero()[0])
        allowed = f"0 to {classes - 1}, or {MISSING_LABEL} where unknown" if classes else f"only {MISSING_LABEL} here"
        raise DataError(f"data '{name}', {split} '{samples.ids[row]}': label {int(labels[row])}; labels are {allowed}")


def _check_further(name: str, split: str, samples: Samples) -> None:
    if samples.findings is not None:
        wrong = ((samples.findings > 1) & (samples.findings != MISSING_PIXEL)).any(1)
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise DataError(
                f"data '{name}', {split} '{samples.ids[row]}': findings {samples.findings[row].tolist()}; "
                "a finding is 0, 1 or 255 (missing)"
            )
    for column, values in samples.columns.items():
        if values.isinf().any():
            row = int(values.isinf().nonzero()[0])
            raise DataError(
                f"data '{name}', {split} '{samples.ids[row]}': {column} is infinite; use nan where it is unknown"
            )


def _check_classes(name: str, split: str, samples: Samples, classes: Sequence[str]) -> None:
    """Raises if a split lacks a class: its recall, and every mean over classes, would be undefined."""
    known = samples.labels[samples.labels != MISSING_LABEL]
    if len(known) == 0:
        return
    counts = torch.bincount(known, minlength=len(classes))
    if missing := [label for label, count in zip(classes, counts.tolist(), strict=True) if count == 0]:
        raise DataError(
            f"data '{name}': class '{missing[0]}' is missing from split '{split}' ({len(samples)} images); "
            "make the split larger or choose another split seed"
        )


def _check_apart(name: str, members: Mapping[str, Sequence[str]], what: str) -> None:
    home: dict[str, str] = {}
    for split, names in members.items():
        for member in names:
            if home.setdefault(member, split) != split:
                raise DataError(f"data '{name}': {what} '{member}' is in both '{home[member]}' and '{split}'")
