"""A data set in shards, written by `tandem-write-shards`: pixels are read as they are needed, with LitData."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tandem.data.files.cache import cache_folder
from tandem.data.files.placement import check_fit
from tandem.data.files.raster import Levels
from tandem.data.samples import SPLITS, Samples
from tandem.data.shards.index import INDEX, begins, read_index
from tandem.data.shards.manifest import ROWS, Manifest, read_manifest
from tandem.data.shards.pixels import ShardedSplit
from tandem.data.shards.rows import read_rows
from tandem.data.shards.verify import check_files
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError
from tandem.utils.optional import load


class Streamed:
    """The images of another source, with the same splits, rows and targets, in files of many rows each.

    Ids and targets are in memory; of the pixels only the rows of the present batches are. Training takes the rows of
    `shards_at_once` shards in any order before it goes on to other shards.

    Args:
        root: the folder that was written.
        size: side of the images; that of the shards, which the network and `predict` have to know.
        fit: how files became squares; as in the source.
        background: what transparent pixels show; as in the source.
        window: of DICOM values; as in the source.
        shards_at_once: 1 or more; None for all shards, which is the order of data in memory.
        cache: folder in which it is noted that the shards are as they were written; None: `$TANDEM_CACHE` or
            `~/.cache/tandem`.

    Attributes:
        files_root: after `load`, the folder.
        lists: after `load`, all of its files.
        files_fingerprint: after `load`, a SHA-256 of them.

    Raises:
        ConfigError: an option is out of range.
    """

    def __init__(
        self,
        root: str,
        size: int = 128,
        fit: str = "squash",
        background: Any = "black",
        window: Any = None,
        shards_at_once: int | None = 16,
        cache: str | None = None,
    ) -> None:
        self.root = Path(root).expanduser()
        self.size, self.fit, self.background, self.window = size, check_fit(fit), background, window
        at_once = 2**31 if shards_at_once is None else shards_at_once
        if type(at_once) is not int or at_once < 1:
            raise ConfigError(f"data.shards_at_once is {shards_at_once!r}, but must be a whole number from 1, or null")
        self.shards_at_once = at_once
        self.cache = cache
        self.files_root: Path | None = None
        self.lists: tuple[Path, ...] = ()
        self.files_fingerprint: str | None = None

    @cached_property
    def manifest(self) -> Manifest:
        """What the folder holds.

        Raises:
            DataError: it holds no shards, or others than the options say.
        """
        found = read_manifest(self.root)
        size = found.size[0] if found.size[0] == found.size[1] else found.size
        was = {"size": size, "fit": found.fit, "background": found.background, "window": found.window}
        for key, value in was.items():
            if _plain(getattr(self, key)) != _plain(value):
                now = "null" if value is None else str(value).replace(" ", "")
                raise DataError(f"'{self.root}' was written with {key}={value}, but data.{key} is "
                                f"{getattr(self, key)}: set data.{key}={now}")  # fmt: skip
        return found

    @property
    def name(self) -> str:
        """Of the data set that was written."""
        return self.manifest.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.manifest.classes

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.manifest.channels

    @property
    def targets(self) -> Targets:
        """Further targets."""
        return self.manifest.targets

    @property
    def levels(self) -> tuple[Levels, ...]:
        """Black and white of images of more than 8 bits."""
        return self.manifest.levels

    @property
    def shares(self) -> tuple[float, ...] | None:
        """How often an epoch visits the rows of each source, of mixed data that were written with `shares`."""
        return self.manifest.shares

    @property
    def allow_overlap(self) -> bool:
        """Whether a group may be in several splits."""
        return self.manifest.allow_overlap

    @property
    def notes(self) -> dict[str, Any]:
        """What a run keeps about the data, and what the shards were written from."""
        return {**self.manifest.notes, "written_from": dict(self.manifest.written_from)}

    def load(self) -> Mapping[str, Samples]:
        """The splits; their pixels stay in the shards.

        Raises:
            ConfigError: LitData is not installed.
            DataError: the folder holds no shards, they changed since they were written, or would not be read safely.
        """
        load("litdata", "streamed", "data=streamed")
        found = self.manifest
        known = {split: read_index(self.root / split, found.layout(split)) for split in SPLITS}
        named = {f"{split}/{name}" for split, shards in known.items() for name in (ROWS, INDEX, *shards)}
        if differing := sorted(named ^ set(found.files)):
            raise DataError(f"'{self.root}' lacks or adds {differing[0]}: copy or write the shards again")
        paths = check_files(self.root, found.files, cache_folder(self.cache))
        splits = {split: self._split(split, shards) for split, shards in known.items()}
        self.files_root, self.lists = self.root, tuple(paths)
        self.files_fingerprint = _digest(found, "")
        return splits

    def _split(self, split: str, shards: Mapping[str, int]) -> Samples:
        found, starts = self.manifest, begins(shards)
        if int(starts[-1]) != found.rows[split]:
            raise DataError(
                f"'{self.root / split}' has {starts[-1]} rows instead of {found.rows[split]}: write the shards again"
            )
        place = ShardedSplit(
            self.root / split, found.layout(split), starts, _digest(found, f"{split}/chunk-"), self.shards_at_once
        )
        return read_rows(place, found, found.rows[split])


def _digest(manifest: Manifest, start: str) -> str:
    """Of the files whose name starts so."""
    lines = [f"{name}|{known}" for name, (_, known) in sorted(manifest.files.items()) if name.startswith(start)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
