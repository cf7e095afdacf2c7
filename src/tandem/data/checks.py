"""What must hold of every data set before anything is trained on it."""

from collections.abc import Mapping, Sequence

import torch

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.samples import SPLITS, Samples
from tandem.errors import DataError


def check_splits(name: str, splits: Mapping[str, Samples], classes: Sequence[str]) -> None:
    """Refuses splits that would train or be scored without complaint, and mean nothing.

    Args:
        name: the data set, for messages.
        splits: the splits by name.
        classes: names of the classes.

    Raises:
        DataError: a split missing or empty, a name or group in two splits, a target outside its set, a class missing.
    """
    for split in SPLITS:
        if split not in splits or len(splits[split]) == 0:
            raise DataError(f"data '{name}': the split '{split}' is empty; give it pictures")
        _check_targets(name, split, splits[split], len(classes))
        _check_classes(name, split, splits[split], classes)
    _check_apart(name, {split: samples.ids for split, samples in splits.items()}, "picture")
    _check_apart(name, {split: samples.groups for split, samples in splits.items()}, "group")


def _check_targets(name: str, split: str, samples: Samples, classes: int) -> None:
    wrong = (samples.masks > 1) & (samples.masks != MISSING_PIXEL)
    if wrong.any():
        row = int(wrong.flatten(1).any(1).nonzero()[0])
        value = int(samples.masks[row][wrong[row]][0])
        raise DataError(
            f"data '{name}', {split} '{samples.ids[row]}': mask value {value}; a mask holds 0, 1 or 255 (missing)"
        )
    labels = samples.labels
    bad = ((labels < 0) & (labels != MISSING_LABEL)) | (labels >= classes)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise DataError(
            f"data '{name}', {split} '{samples.ids[row]}': label {int(labels[row])}; "
            f"labels are 0 to {classes - 1}, or {MISSING_LABEL} where unknown"
        )


def _check_classes(name: str, split: str, samples: Samples, classes: Sequence[str]) -> None:
    """A class that a split lacks makes its recall, and every mean over classes, meaningless."""
    known = samples.labels[samples.labels != MISSING_LABEL]
    if len(known) == 0:
        return
    counts = torch.bincount(known, minlength=len(classes))
    if missing := [label for label, count in zip(classes, counts.tolist(), strict=True) if count == 0]:
        raise DataError(
            f"data '{name}': class '{missing[0]}' is missing from split '{split}' ({len(samples)} pictures); "
            "make the split larger or choose another split seed"
        )


def _check_apart(name: str, members: Mapping[str, Sequence[str]], what: str) -> None:
    home: dict[str, str] = {}
    for split, names in members.items():
        for member in names:
            if home.setdefault(member, split) != split:
                raise DataError(f"data '{name}': {what} '{member}' is in both '{home[member]}' and '{split}'")
