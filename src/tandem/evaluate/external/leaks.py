"""Images of another data set that a run was trained on: equal pixels, and the groups of such images."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tandem.data.loading.storage import chunks
from tandem.data.samples import Samples
from tandem.errors import DataError
from tandem.evaluate.external.options import DROP, REFUSE

LEARNT = ("train", "val")
"""Splits from which a run takes its weights, its best epoch and its thresholds."""


@dataclass(frozen=True)
class Leaks:
    """What another set shares with the run's data.

    Attributes:
        learnt: row of the other set, and id of the equal training or validation image.
        tested: ids of images that are in the run's own test split.
        groups: names of groups that both sets have; they may be other patients of the same name.
    """

    learnt: Mapping[int, str]
    tested: tuple[str, ...]
    groups: tuple[str, ...]


def find_leaks(samples: Samples, own: Mapping[str, Samples]) -> Leaks:
    """Compares the pixels of each image, as the network sees them, with those of the run's own splits.

    Args:
        samples: images of the other set.
        own: the run's splits.
    """
    known = {split: dict(zip(digests(part), part.ids, strict=True)) for split, part in own.items()}
    learnt: dict[int, str] = {}
    tested = []
    for row, digest in enumerate(digests(samples)):
        home = next((known[split][digest] for split in LEARNT if digest in known.get(split, {})), None)
        if home is not None:
            learnt[row] = home
        elif digest in known.get("test", {}):
            tested.append(samples.ids[row])
    shared = {group for split in LEARNT if split in own for group in own[split].groups}.intersection(samples.groups)
    return Leaks(learnt, tuple(tested), tuple(sorted(shared)))


def digests(samples: Samples) -> list[str]:
    """SHA-256 of the pixels of each image and of their black and white."""
    levels = ["" if samples.levels is None else str(pair) for pair in (samples.levels if samples.levels is not None
              else torch.zeros(len(samples), 2)).tolist()]  # fmt: skip
    rows = (image for part in chunks(samples.images) for image in part)
    return [
        hashlib.sha256(f"{image.dtype}{pair}".encode() + image.contiguous().numpy().tobytes()).hexdigest()
        for image, pair in zip(rows, levels, strict=True)
    ]


def settle_leaks(samples: Samples, leaks: Leaks, overlap: str, site: str) -> tuple[Samples, list[str]]:
    """Refuses, leaves out or keeps the images that the run was trained on, and says what it did.

    Args:
        samples: images of the other set.
        leaks: of `find_leaks`.
        overlap: see `OtherData`.
        site: name of the other set.

    Raises:
        DataError: there are such images and `overlap` is `refuse`, or none is left.
    """
    remarks = []
    if leaks.tested:
        remarks.append(
            f"{len(leaks.tested)} images are also in the run's own test split, {leaks.tested[0]} first, so the "
            "difference to the internal test is not between separate images"
        )
    if leaks.groups:
        remarks.append(
            f"{len(leaks.groups)} groups have the name of a group in training or validation, {leaks.groups[0]} first: "
            "if they are the same patients, leave them out"
        )
    if not leaks.learnt:
        return samples, remarks
    mates = {samples.groups[row] for row in leaks.learnt} if samples.groups else set()
    rows = [row for row in range(len(samples)) if row in leaks.learnt or (mates and samples.groups[row] in mates)]
    first, home = next(iter(leaks.learnt.items()))
    more = f", and {len(rows) - len(leaks.learnt)} more are of the same groups" if len(rows) > len(leaks.learnt) else ""
    said = (
        f"{len(leaks.learnt)} of {len(samples)} images of {site} equal training or validation images of the run "
        f"({samples.ids[first]} equals {home}){more}"
    )
    if overlap == REFUSE:
        raise DataError(
            f"{said}, so this would be no external test: overlap=drop leaves them out, overlap=keep tests on them too"
        )
    if overlap != DROP:
        return samples, [f"{said}: the numbers are too good", *remarks]
    left = [row for row in range(len(samples)) if row not in set(rows)]
    if not left:
        raise DataError(f"{said}, so no image is left to test on; give images that the run has not seen")
    return samples.pick(left), [f"{said}: left out", *remarks]
