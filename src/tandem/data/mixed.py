"""Several data sets with different targets in one run."""

import hashlib
import inspect
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tandem.data.batch import MISSING_LABEL, MISSING_PIXEL
from tandem.data.files.faults import FaultyDataError
from tandem.data.files.own_masks import FileMasks
from tandem.data.files.raster import Levels
from tandem.data.files.records import Record
from tandem.data.samples import SPLITS, Samples, join_samples
from tandem.data.source import Source, masks_among
from tandem.data.splitting.overlap import as_notes, find_overlap
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError, TandemError

log = logging.getLogger(__name__)


class Mixed:
    """Combines several sources: some may have a class only, some a mask only, some both.

    Classes of the same name are one class. Targets that a source does not have are missing in its rows. Rows are named
    `<source>/<id>`. Each split joins the sources' splits of the same name.

    Args:
        sources: sources by name; all must have the same image size and number of channels, and the same kind of masks.
        size: expected side of the images of all sources; None: any common size.
        shares: relative frequency of each source in a training epoch, by name; None: each row once per epoch. A row is
            drawn again only after all rows of its source were drawn.

    Attributes:
        name: "mixed" with the names of the sources' data sets.
        classes: classes of all sources, in order of first appearance.
        channels: number of channels of all sources.
        targets: targets of all sources.
        shares: share of each source, in the order of the sources, or None.
        files_fingerprint: after `load`, a SHA-256 of the sources' fingerprints.
        skipped: after `load`, one line for each row that a source left out.
        records: after `load`, the records of all sources that have records.
        levels: after `load`, the distinct pairs of black and white of the sources' images of more than 8 bits.
        file_masks: after `load`, the masks of all sources' images at the size of their files, by id.
        notes: after `load`, what a run keeps about the data of each source, and `overlap`: the pairs of images of all
            sources that belong together and are in different splits.

    Raises:
        ConfigError: there is no source, channels or `fit` differ, or shares are negative or do not name exactly the
            sources.
        DataError: the sources have different kinds of masks.
    """

    def __init__(
        self, sources: Mapping[str, Source], size: int | None = None, shares: Mapping[str, float] | None = None
    ) -> None:
        if not sources:
            raise ConfigError("data.sources is empty; give each source a name, such as data@data.sources.mine=busi")
        if wrong := [name for name, source in sources.items() if not hasattr(source, "load")]:
            raise ConfigError(
                f"data.sources.{wrong[0]} is not a data set; choose one with data@data.sources.{wrong[0]}=..."
            )
        self.sources = dict(sources)
        depths = {name: source.channels for name, source in sources.items()}
        if len(set(depths.values())) > 1:
            raise ConfigError(f"data.sources differ in channels ({depths}); give all of them the same number")
        self.channels = next(iter(depths.values()))
        fits = {name: source.fit for name, source in sources.items() if hasattr(source, "fit")}
        if len(set(fits.values())) > 1:
            raise ConfigError(
                f"data.sources differ in fit ({fits}); give all of them the same, data.sources.NAME.fit=..."
            )
        self.size = size
        self.name = "mixed-" + "-".join(source.name for source in sources.values())
        self.shares = None if shares is None else _checked_shares(shares, self.sources)
        self.files_fingerprint: str | None = None
        self.skipped: tuple[str, ...] = ()
        self.records: tuple[Record, ...] = ()
        self.levels: tuple[Levels, ...] = ()
        self.file_masks: dict[str, FileMasks] = {}
        self.notes: dict[str, Any] = {}

    @property
    def allow_overlap(self) -> bool:
        """Whether a source allows groups in several splits; each source checks its own."""
        return any(getattr(source, "allow_overlap", False) for source in self.sources.values())

    @property
    def formula(self) -> bool:
        """Whether the images of all sources follow from the options alone."""
        return all(getattr(source, "formula", False) for source in self.sources.values())

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of all sources, in order of first appearance."""
        return tuple(dict.fromkeys(name for source in self.sources.values() for name in source.classes))

    @property
    def targets(self) -> Targets:
        """Targets of all sources."""
        offered = {name: _offered(source) for name, source in self.sources.items()}
        masks = {(of.mask_channels, of.mask_classes): name for name, of in offered.items() if of.mask_depth}
        if len(masks) > 1:
            kinds = "; ".join(f"{name}: {', '.join(max(kind))}" for kind, name in masks.items())
            raise DataError(f"data.sources have different kinds of masks ({kinds}); give all of them the same masks")
        channels, classes = next(iter(masks), ((), ()))
        findings = dict.fromkeys(name for of in offered.values() for name in of.findings)
        columns = dict.fromkeys(name for of in offered.values() for name in of.columns)
        return Targets(mask_channels=channels, mask_classes=classes, findings=tuple(findings), columns=tuple(columns))

    def load(self) -> dict[str, Samples]:
        """Reads the splits `train`, `val` and `test` of all sources.

        Raises:
            DataError: a source cannot be read, or image sizes differ.
        """
        loaded = {name: _load(name, source) for name, source in self.sources.items()}
        sizes = {name: tuple(splits["train"].images.shape[2:]) for name, splits in loaded.items()}
        if len(set(sizes.values())) > 1 or self.size not in (None, *next(iter(sizes.values()))):
            raise DataError(
                f"data.sources have images of the sizes {sizes}; give all of them the same, data.size={self.size}"
            )
        files = [getattr(source, "files_fingerprint", None) or "" for source in self.sources.values()]
        self.files_fingerprint = hashlib.sha256("|".join(files).encode()).hexdigest() if any(files) else None
        self.skipped = tuple(
            f"{name}: {line}" for name, source in self.sources.items() for line in getattr(source, "skipped", ())
        )
        pairs = (pair for source in self.sources.values() for pair in getattr(source, "levels", ()))
        self.levels = tuple(dict.fromkeys(pairs))
        self.records = tuple(
            replace(record, id=f"{name}/{record.id}", group=record.group and f"{name}/{record.group}")
            for name, source in self.sources.items()
            for record in getattr(source, "records", ())
        )
        self.file_masks = {
            f"{name}/{row}": masks
            for name, source in self.sources.items()
            for row, masks in getattr(source, "file_masks", {}).items()
        }
        having = {split: [name for name in self.sources if split in loaded[name]] for split in SPLITS}
        splits = {  # a set that is tested whole has one split
            split: join_samples([self._widened(name, loaded[name][split]) for name in names])
            for split, names in having.items()
            if names
        }
        self.notes = self._notes(splits)
        return splits

    def _notes(self, splits: Mapping[str, Samples]) -> dict[str, Any]:
        """The notes of the sources, and the images of different sources that are in different splits."""
        notes = {name: found for name, source in self.sources.items() if (found := getattr(source, "notes", {}))}
        row_of = {record.id: row for row, record in enumerate(self.records)}
        rows = {split: [row_of[name] for name in part.ids if name in row_of] for split, part in splits.items()}
        pairs = find_overlap(self.records, rows) if self.records else []
        across = [pair for pair in pairs if pair.one.partition("/")[0] != pair.other.partition("/")[0]]
        if across:
            log.warning(
                "data %s: %d pairs of images of different sources belong together and are in different splits, so "
                "metrics are too good; the first: %s", self.name, len(across), across[0],
            )  # fmt: skip
        return {"sources": notes, "overlap": as_notes(pairs)}

    def masks_among(self, files: Sequence[Path]) -> set[Path]:
        """The files that are masks by the names of any source; see `tandem.data.source.Source`."""
        return {file for source in self.sources.values() for file in masks_among(source, files)}

    def _widened(self, name: str, samples: Samples) -> Samples:
        """A source's split, extended to the classes and targets of all sources, with its origin."""
        source, targets, count = self.sources[name], self.targets, len(samples)
        place = {label: index for index, label in enumerate(self.classes)}
        index = torch.tensor([*(place[label] for label in source.classes), MISSING_LABEL])
        labels = torch.where(samples.labels == MISSING_LABEL, len(source.classes), samples.labels)
        masks = samples.masks
        if masks.shape[1] != targets.mask_depth:
            masks = torch.full((count, targets.mask_depth, *samples.images.shape[2:]), MISSING_PIXEL, dtype=torch.uint8)
        findings = torch.full((count, len(targets.findings)), MISSING_PIXEL, dtype=torch.uint8)
        for column, finding in enumerate(_offered(source).findings):
            assert samples.findings is not None, "a source with findings has them in its samples"
            findings[:, targets.findings.index(finding)] = samples.findings[:, column]
        nothing = torch.full((count,), torch.nan)
        return replace(
            samples,
            labels=index[labels],
            masks=masks,
            ids=tuple(f"{name}/{row}" for row in samples.ids),
            groups=tuple(f"{name}/{group}" for group in samples.groups),
            findings=findings if targets.findings else None,
            columns={column: samples.columns.get(column, nothing) for column in targets.columns},
            origin=torch.full((count,), list(self.sources).index(name)),
        )


def _load(name: str, source: Source) -> Mapping[str, Samples]:
    """Loads a source. In its errors, keys are replaced by those of the mixed configuration."""
    try:
        return source.load()
    except TandemError as error:
        makers = (
            vars(kind)["__init__"] for kind in type(source).__mro__ if inspect.isfunction(vars(kind).get("__init__"))
        )
        own = {key for make in makers for key in inspect.signature(make).parameters}

        def typed(key: re.Match[str]) -> str:
            return f"data.sources.{name}.{key[1]}" if key[1] in own else key[0]

        error.args = (re.sub(r"\bdata\.(\w+)", typed, str(error)),)
        if isinstance(error, FaultyDataError):
            error.faults = tuple(re.sub(r"\bdata\.(\w+)", typed, fault) for fault in error.faults)
        raise


def _offered(source: Source) -> Targets:
    targets: Targets = getattr(source, "targets", Targets())
    return targets


def _checked_shares(shares: Mapping[str, float], sources: Mapping[str, Source]) -> tuple[float, ...]:
    if sorted(shares) != sorted(sources):
        raise ConfigError(f"data.shares names {', '.join(shares)}, but the sources are {', '.join(sources)}")
    numbers = [shares[name] for name in sources]
    right = all(isinstance(share, int | float) and not isinstance(share, bool) and share >= 0 for share in numbers)
    if not right or not 0 < sum(numbers) < float("inf"):
        raise ConfigError(f"data.shares is {dict(shares)}, but needs non-negative numbers, not all of them 0")
    return tuple(map(float, numbers))
