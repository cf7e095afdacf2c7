"""Makes the fingerprint from the audit's facts, and from a few images that are looked at again."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.audit.audit import Audit
from tandem.audit.facts import EMPTY, FILLED, MISSING, Facts
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.machine import Machine

if TYPE_CHECKING:
    from tandem.data.samples import Samples
    from tandem.data.source import Source

LOOKED_AT = 200
"""Masks whose widths are measured, and images whose brightness is; evenly spaced among all."""

COLOURS = 48
"""Image files that are read in full to see whether they have colour."""

SPECK = 4
"""Pixels below which a part of a mask is a speck of the drawing and no lesion."""

SLOW, FAST = 3.5, 0.05
"""Seconds of training and validation for each image of a million pixels: a core (measured, see
`rules/image_size.py`), and a GPU. A calibration replaces them."""


def fingerprint_of(
    source: "Source",
    splits: Mapping[str, "Samples"],
    found: Audit,
    node: Mapping[str, Any],
    given: Mapping[str, Any],
    machine: Machine,
    budget: float,
) -> Fingerprint:
    """Returns the fingerprint.

    Args:
        source: after `load`.
        splits: the splits that it returned.
        found: its audit.
        node: its options.
        given: those that were typed, by dotted key.
        machine: what the machine has.
        budget: seconds.
    """
    targets = getattr(source, "targets", None)
    masked = any(row.mask for row in found.rows)
    states = Counter(row.mask for row in found.rows)
    labels = Counter(row.label for row in found.rows if row.label)
    known = [file for file in found.files if file.width]
    records = list(getattr(source, "records", ()))
    width = [min(lesion) for lesion in lesion_widths(source, splits) if lesion]
    areas = [row.area for row in found.rows if row.mask == FILLED]
    return Fingerprint(
        name=source.name,
        images=len(found.rows),
        splits={split: len(samples) for split, samples in splits.items()},
        classes={name: labels[name] for name in found.classes},
        filled=states[FILLED],
        empty=states[EMPTY],
        missing=states[MISSING],
        units=units(found.rows),
        units_of={name: units(row for row in found.rows if row.label == name) for name in found.classes},
        units_filled=units(row for row in found.rows if row.mask == FILLED),
        areas=_quantiles(areas, (0.05, 0.5, 0.95)),  # type: ignore[arg-type]  # as many as asked for
        widths=_quantiles(width, (0.05, 0.5)),  # type: ignore[arg-type]
        side=round(float(np.median([min(file.width, file.height) for file in known]))) if known else 0,
        aspect=float(np.median([max(f.width, f.height) / min(f.width, f.height) for f in known])) if known else 1.0,
        size=int(next(iter(splits.values())).images.shape[-1]),
        coloured=coloured_share(records),
        upright=upright(splits),
        near_duplicates=-1 if found.alike is None or not found.compared else len(found.alike),
        published=has_own_split(records, node),
        mask_channels=tuple(targets.mask_channels) if targets else ("lesion",) if masked else (),
        mask_classes=tuple(targets.mask_classes) if targets else (),
        findings=answers(found),
        numbers=tuple(targets.columns) if targets else (),
        options=frozenset(map(str, node)),
        given=dict(given),
        files=bool(records),
        machine=machine,
        budget=budget,
        speed=FAST if machine.gpu else SLOW / machine.cores**0.7,
    )


def answers(found: Audit) -> dict[str, tuple[int, int]]:
    """Images with a yes and with a no, by finding, in all splits."""
    total: dict[str, tuple[int, int]] = {}
    for (name, _), (yes, no, _unknown) in found.findings.items():
        before = total.get(name, (0, 0))
        total[name] = (before[0] + yes, before[1] + no)
    return total


def units(rows: Iterable[Facts]) -> int:
    """Independent units: groups, and rows without a group.

    Example:
        >>> units([Facts("a", "train", "", "p1", "", 0.0, False), Facts("b", "train", "", "p1", "", 0.0, False)])
        1
    """
    return len({row.group or f"\0{row.id}" for row in rows})


def has_own_split(records: Sequence[Any], node: Mapping[str, Any]) -> bool:
    """Whether the data come with a split: rows name one, or there are no files and the options can replace one."""
    if node.get("resplit"):
        return False
    return any(record.split for record in records) if records else "resplit" in node


def coloured_share(records: Sequence[Any]) -> float:
    """Share of coloured images among a few files; nan if the data are not files."""
    from tandem.data.files.images import read_raster

    chosen = [records[row] for row in evenly(len(records), COLOURS)]
    return sum(read_raster(record.image).coloured for record in chosen) / len(chosen) if chosen else math.nan


def upright(splits: Mapping[str, "Samples"]) -> float:
    """Mean over standard deviation of the difference in brightness between upper and lower half; nan of one image."""
    from tandem.audit.facts import thumbnails_of

    train = splits["train"]
    thumbs = thumbnails_of({"train": train.pick(evenly(len(train), LOOKED_AT))}).astype(np.float64)
    half = thumbs.shape[1] // 2
    apart = thumbs[:, :half].mean((1, 2)) - thumbs[:, half:].mean((1, 2))
    spread = float(apart.std(ddof=1)) if len(apart) > 1 else math.nan
    return float(apart.mean()) / spread if spread else math.nan


def lesion_widths(source: "Source", splits: Mapping[str, "Samples"]) -> Iterator[list[float]]:
    """The widths of the lesions of a mask, for some of the masks: at the size of the files, or as decoded."""
    from tandem.data.batch import MISSING_PIXEL

    decoder = getattr(source, "decoder", None)
    values = None if decoder is None else decoder.values
    records = [r for r in getattr(source, "records", ()) if any(r.masks)] if decoder is not None else []
    if records:
        from tandem.data.files.images import reader_of
        from tandem.data.files.masks import unite
        from tandem.errors import DataError

        for record in (records[row] for row in evenly(len(records), LOOKED_AT)):
            says = reader_of(record.image).header(record.image)
            for paths in filter(None, record.masks):
                try:
                    mask, _ = unite(paths, (says.width, says.height), values)
                except DataError:  # turned by its orientation tag; the audit names what cannot be used
                    continue
                yield widths_of((mask > 0) & (mask != MISSING_PIXEL))
        return
    train = splits["train"]
    for row in evenly(len(train), LOOKED_AT):
        for channel in train.pick([row]).masks[0].numpy():
            yield widths_of((channel > 0) & (channel != MISSING_PIXEL))


def widths_of(mask: NDArray[np.bool_]) -> list[float]:
    """Widths of the connected parts of a mask, relative to the longer side; specks are left out.

    The width is the diameter of the largest circle inside: twice the largest distance to the background, less the pixel
    that the distance counts too much.

    Args:
        mask: (H, W).

    Example:
        >>> mask = np.zeros((10, 20), bool)
        >>> mask[2:7, 3:18] = True
        >>> widths_of(mask)
        [0.25]
    """
    from scipy import ndimage

    if not mask.any():
        return []
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    numbers = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(mask, parts, numbers)
    radii = ndimage.maximum(inside, parts, numbers)
    sides = [
        float(2 * radius - 1) / max(mask.shape) for radius, size in zip(radii, sizes, strict=True) if size >= SPECK
    ]
    return sides or [float(2 * max(radii) - 1) / max(mask.shape)]


def evenly(total: int, count: int) -> list[int]:
    """At most `count` evenly spaced indices of `total` things.

    Example:
        >>> evenly(10, 3), evenly(2, 3)
        ([1, 5, 8], [0, 1])
    """
    if total <= count:
        return list(range(total))
    return [int((place + 0.5) * total / count) for place in range(count)]


def _quantiles(values: Sequence[float], shares: Sequence[float]) -> tuple[float, ...]:
    if not values:
        return (math.nan,) * len(shares)
    return tuple(float(value) for value in np.quantile(values, shares))
