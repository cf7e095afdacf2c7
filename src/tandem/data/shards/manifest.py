"""`shards.json`: what a data set in shards is, and the digest of each of its files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tandem.data.files.placement import check_fit
from tandem.data.files.raster import Levels
from tandem.data.samples import SPLITS
from tandem.data.shards.layout import CODES, Field, Layout
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError
from tandem.utils.files import read_json

MANIFEST = "shards.json"

ROWS = "rows.npz"

FORMAT = 1
"""Version of what is written; others are refused."""

IMAGE, MASK = "image", "mask"

DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in CODES}


@dataclass(frozen=True)
class Manifest:
    """A data set in shards.

    Attributes:
        name: of the data set.
        classes: names of its classes.
        channels: of an image.
        targets: further targets.
        size: height and width of the images.
        dtypes: of the images, by split.
        rows: number of images, by split.
        files: bytes and SHA-256 (see `tandem.data.files.cache.digest`) of each other file, by its path from the root.
        fit: how files became squares; see `data.fit`.
        background: see `data.background`.
        window: see `data.window`.
        levels: black and white of images of more than 8 bits.
        shares: relative number of visits of each source of mixed data.
        allow_overlap: whether a group may be in several splits.
        notes: what a run keeps about the data.
        written_from: the class of the source, and the fingerprint of its splits.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    targets: Targets
    size: tuple[int, int]
    dtypes: Mapping[str, str]
    rows: Mapping[str, int]
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    fit: str = "squash"
    background: Any = "black"
    window: Any = None
    levels: tuple[Levels, ...] = ()
    shares: tuple[float, ...] | None = None
    allow_overlap: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)
    written_from: Mapping[str, Any] = field(default_factory=dict)

    def layout(self, split: str) -> Layout:
        """The tensors of each row of a split."""
        fields = {IMAGE: Field((self.channels, *self.size), DTYPES[self.dtypes[split]])}
        if self.targets.mask_depth:
            fields[MASK] = Field((self.targets.mask_depth, *self.size), DTYPES["uint8"])
        return Layout(fields)

    def to_json(self) -> dict[str, Any]:
        """Plain containers."""
        return {"format": FORMAT, **asdict(self)}


def read_manifest(root: Path) -> Manifest:
    """Reads what a folder of shards is.

    Raises:
        DataError: it is none, or not one that this version reads.
    """
    file = root / MANIFEST
    if not root.is_dir():
        how = "mount it, or copy it to this machine" if ":/" in str(root) else "give the one that was written"
        raise DataError(f"data.root='{root}' is not a folder: {how}")
    if not file.is_file():
        raise DataError(
            f"data.root='{root}' has no {MANIFEST}, so it is no data set in shards, or not a whole one: write it "
            "with tandem-write-shards"
        )
    try:
        found = read_json(file)
        version = found["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = " ".join(str(error).split())[:80]
        raise DataError(f"{file} is damaged or foreign ({text}): copy or write the shards again") from error
    if version != FORMAT or isinstance(version, bool):
        raise DataError(
            f"{file} has the format {version!r}, but this version of tandem reads {FORMAT}: write the shards again, or "
            "use the version that wrote them"
        )
    try:
        return _from_json(found)
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        text = " ".join(str(error).split())[:120]
        raise DataError(f"{file} is damaged or foreign ({text}): copy or write the shards again") from error


def _from_json(found: Mapping[str, Any]) -> Manifest:
    targets = Targets(**{name: _names(values) for name, values in found["targets"].items()})
    files = {name: (_whole(size, 0), _text(digest)) for name, (size, digest) in found["files"].items()}
    if any(name.rpartition("/")[0] not in SPLITS or "\\" in name for name in files):
        raise ValueError("a file outside of the splits")
    dtypes = {split: _text(found["dtypes"][split]) for split in SPLITS}
    if unknown := set(dtypes.values()) - set(DTYPES):
        raise ValueError(f"pixels of the type {unknown.pop()}")
    height, width = found["size"]
    shares = found["shares"]
    return Manifest(
        name=_text(found["name"]),
        classes=_names(found["classes"]),
        channels=_whole(found["channels"], 1),
        targets=targets,
        size=(_whole(height, 1), _whole(width, 1)),
        dtypes=dtypes,
        rows={split: _whole(found["rows"][split], 1) for split in SPLITS},
        files=files,
        fit=check_fit(found["fit"]),
        background=found["background"],
        window=found["window"],
        levels=tuple((float(low), float(high)) for low, high in found["levels"]),
        shares=None if shares is None else tuple(map(float, shares)),
        allow_overlap=found["allow_overlap"] is True,
        notes=_notes(found["notes"]),
        written_from=dict(found["written_from"]),
    )


def _names(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} instead of names")
    return tuple(map(_text, values))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} instead of a name")
    return value


def _whole(value: Any, least: int) -> int:
    if type(value) is not int or not least <= value < 2**40:
        raise ValueError(f"{value!r} instead of a number from {least}")
    return value


def _notes(found: Any) -> dict[str, Any]:
    overlap = found.get("overlap", [])
    if not isinstance(overlap, list) or not all(isinstance(pair, Mapping) for pair in overlap):
        raise TypeError("notes that are none")
    return dict(found)
