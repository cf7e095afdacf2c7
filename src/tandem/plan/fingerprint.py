"""The fingerprint of a data set on a machine: pure data, all that the rules of a plan may read."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import nan
from typing import Any

from tandem.plan.machine import Machine


@dataclass(frozen=True)
class Fingerprint:
    """What is known before a plan is made.

    Attributes:
        name: of the data set.
        images: number of images that can be read.
        splits: number of images in each split.
        classes: number of labelled images of each class, those without any included.
        filled: masks with marked pixels.
        empty: masks without.
        missing: images whose mask is unknown.
        units: independent units: groups, and images without a group.
        units_of: units of each class.
        units_filled: units with a filled mask.
        areas: 5 %, 50 % and 95 % quantile of the marked share of the filled masks.
        widths: 5 % and 50 % quantile of the lesions' widths, relative to the longer side of their image; the width is
            the diameter of the largest circle inside.
        side: median of the shorter sides of the image files in pixels; 0 if unknown.
        aspect: median of longer over shorter side.
        size: side in pixels that the configuration asks for.
        coloured: share of images with colour; nan if unknown.
        upright: mean over standard deviation of the images' difference in brightness between upper and lower half:
            far from 0, images have an orientation.
        near_duplicates: pairs of near-duplicates; -1 if they were not searched for.
        published: whether the data come with a split of their own.
        mask_channels: names of the yes/no questions about each pixel.
        mask_classes: names of the classes of a multiclass mask.
        findings: by yes/no question about the image: images with a yes, and with a no.
        numbers: names of the numbers that the data give, which no rule plans for.
        options: keys of the data's own options, such as `size` and `folds`.
        given: options of the data that were typed, by dotted key.
        files: whether images are files, whose size can be chosen.
        machine: what it has.
        budget: seconds.
        speed: seconds of training and validation for each image of a million pixels; measured, or estimated.
        measured: whether `speed` was measured on this machine.
    """

    name: str = "data"
    images: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    filled: int = 0
    empty: int = 0
    missing: int = 0
    units: int = 0
    units_of: Mapping[str, int] = field(default_factory=dict)
    units_filled: int = 0
    areas: tuple[float, float, float] = (nan, nan, nan)
    widths: tuple[float, float] = (nan, nan)
    side: int = 0
    aspect: float = 1.0
    size: int = 0
    coloured: float = nan
    upright: float = nan
    near_duplicates: int = -1
    published: bool = False
    mask_channels: tuple[str, ...] = ()
    mask_classes: tuple[str, ...] = ()
    findings: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    given: Mapping[str, Any] = field(default_factory=dict)
    files: bool = False
    machine: Machine = field(default_factory=Machine)
    budget: float = 1800.0
    speed: float = 2.0
    measured: bool = False

    @property
    def train(self) -> int:
        """Images of the training split; a share of 0.7 where no split is known."""
        return self.splits.get("train", round(0.7 * self.images))

    @property
    def labelled(self) -> int:
        """Images with a class."""
        return sum(self.classes.values())

    @property
    def many(self) -> int:
        """Images with an answer about the whole image: a class, or the finding that most have."""
        return max([self.labelled, *(yes + no for yes, no in self.findings.values())])

    @property
    def present(self) -> dict[str, int]:
        """The classes that occur, with their images."""
        return {name: count for name, count in self.classes.items() if count}

    def to_json(self) -> dict[str, Any]:
        """As plain containers, without what was typed, which may hold paths."""
        plain = {**asdict(self), "options": sorted(self.options), "given": sorted(self.given)}
        return dict(json.loads(json.dumps(plain)))

    @classmethod
    def from_json(cls, plain: Mapping[str, Any], given: Mapping[str, Any]) -> "Fingerprint":
        """What `to_json` wrote and a file of JSON kept.

        Args:
            plain: as read from the file, in which what is not a number is null.
            given: options of the data that were typed, which `to_json` leaves out.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is something else.
        """
        as_they_are = {
            one.name: plain[one.name] for one in fields(cls) if one.name not in _READ and one.name != "given"
        }
        read = {key: convert(plain[key]) for key, convert in _READ.items()}
        return cls(**as_they_are, **read, given=dict(given))


def _number(value: Any) -> float:
    return nan if value is None else float(value)


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(map(_number, values))


def _names(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))


_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("areas", "widths"), _numbers),
    **dict.fromkeys(("mask_channels", "mask_classes", "numbers"), _names),
    **dict.fromkeys(("coloured", "upright"), _number),
    "findings": lambda values: {str(name): (int(yes), int(no)) for name, (yes, no) in values.items()},
    "options": frozenset,
    "machine": lambda values: Machine(**values),
}
"""How values are read from JSON, where they are not kept as they are."""
