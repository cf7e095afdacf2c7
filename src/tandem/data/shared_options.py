"""Options shared by several sources; their defaults and documentation exist only here.

A source declares its own options and passes the others on as `**shared`. Its signature lists all of them, so that an
unknown key in a configuration is refused before the source is created.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.data.files.faults import check_on_error
from tandem.data.files.file_state import names_below
from tandem.data.files.ids import Ids, owners_of
from tandem.data.files.own_masks import FileMasks
from tandem.data.files.placement import check_fit
from tandem.data.files.raster import Levels
from tandem.data.files.records import Record
from tandem.data.files.unused import LEFT_OUT, Unused
from tandem.data.files.walk import walk
from tandem.data.loading.crops import read_crops
from tandem.data.loading.storage import Storage
from tandem.data.splitting.overlap import Overlap, as_notes
from tandem.data.splitting.split_spec import FRACTIONS, SplitSpec
from tandem.errors import ConfigError


def _with_shared(source: type) -> inspect.Signature:
    """The signature of a class, with `**shared` replaced by the keyword-only options of its base class."""
    signature = inspect.signature(source.__init__)  # type: ignore[misc]
    _, *own = signature.parameters.values()
    if not own or own[-1].kind is not inspect.Parameter.VAR_KEYWORD:
        return signature.replace(parameters=own)
    known = {parameter.name for parameter in own}
    base = inspect.signature(source.__mro__[1]).parameters.values()
    passed = [option for option in base if option.kind is option.KEYWORD_ONLY and option.name not in known]
    return signature.replace(parameters=[*own[:-1], *passed])


class SplitSource:
    """Base of the sources that tandem splits into `train`, `val` and `test`.

    Args:
        fractions: shares of `train`, `val` and `test`, each above 0, with the sum 1.
        split_seed: seed of the split, 0 or more.
        folds: number of folds for cross-validation, or None.
        fold: index of the test fold, from 0.
        split_file: CSV file with columns `id,split`, such as the `splits.csv` of another run, or None.
        on_error: `fail` raises an error for any faulty row, `skip` leaves faulty rows out.

    Attributes:
        division: specification of the split.
        files_fingerprint: after `load`, a checksum of all files used; None before.
        skipped: after `load`, one line for each skipped fault.
        files_root: after `load`, the folder of the files; None before, and for a formula.
        lists: after `load`, the files read besides those of `records`: tables, lists, an archive.
        levels: after `load`, black and white of the images of more than 8 bits; empty if there are none.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        fractions: Mapping[str, float] = FRACTIONS,
        split_seed: int = 0,
        folds: int | None = None,
        fold: int | None = None,
        split_file: str | None = None,
        on_error: str = "fail",
    ) -> None:
        self.division = SplitSpec(fractions, split_seed, folds, fold, split_file)
        self.on_error = check_on_error(on_error)
        self.files_fingerprint: str | None = None
        self.skipped: tuple[str, ...] = ()
        self.files_root: Path | None = None
        self.lists: tuple[Path, ...] = ()
        self.levels: tuple[Levels, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Adds the options behind `**shared` to the signature of a subclass."""
        super().__init_subclass__(**kwargs)
        cls.__signature__ = _with_shared(cls)  # type: ignore[attr-defined]


class FileSource(SplitSource):
    """Base of the sources that consist of image files, which are decoded once.

    Args:
        size: side of the square images in pixels, 8 to 4096.
        fit: `squash` stretches images to the square; `pad` and `crop` keep their aspect ratio: the longer side becomes
            `size` and the rest is black padding, whose mask is 255 (ignored); or the shorter side does, and the central
            square is used. `native` keeps the pixels: the central `size` x `size` of them, with padding around an image
            that is smaller.
        crop: of `crop` and `native`: `centre`; or `random`, so that training sees a new square of each image in every
            epoch. Validation and test see the central one.
        foreground_crops: share of the random squares, 0 to 1, in whose middle lies foreground of the mask.
        channels: 1 for grey, 3 for RGB.
        cache: folder of the disk cache; None: `$TANDEM_CACHE` or `~/.cache/tandem`.
        allow_overlap: whether to go on if images that belong together (one file, equal content, one group) are in
            different splits of a file or as published; the pairs are recorded.
        memory_gb: memory limit in GB; decoded images that need more are read from the disk cache batch by batch. None:
            half of the free memory.
        shared: options of `SplitSource`.

    Attributes:
        size: see the argument.
        fit: see the argument.
        crops: how squares are drawn in training; None: they are the central ones.
        channels: see the argument.
        storage: storage of the decoded images.
        files_fingerprint: after `load`, the SHA-256 of names and bytes of all files used; None before.
        allow_overlap: see the argument.
        ids: how images are named in what is written; sources of own data have an option for it.
        records: after `load`, the files of each listed image.
        file_masks: after `load`, the masks of each image at the size of its file, by id.
        notes: after `load`, what a run keeps about its data: `unused` files, `missing` values, `overlap` of splits.

    Raises:
        ConfigError: an argument is out of range.
    """

    name: str

    def __init__(
        self,
        *,
        size: int = 128,
        channels: int = 1,
        cache: str | None = None,
        allow_overlap: bool = False,
        memory_gb: float | None = None,
        fit: str = "squash",
        crop: str = "centre",
        foreground_crops: float = 0.0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.size, self.channels, self.fit = size, channels, check_fit(fit)
        self.crops = read_crops(crop, foreground_crops, self.fit)
        self.cache, self.storage = cache, Storage(cache, memory_gb)
        if not isinstance(allow_overlap, bool):
            raise ConfigError(f"data.allow_overlap is {allow_overlap!r}, but must be true or false")
        self.allow_overlap = allow_overlap
        self.ids = Ids()
        self.records: tuple[Record, ...] = ()
        self.file_masks: Mapping[str, FileMasks] = {}
        self.notes: dict[str, Any] = {}

    def note(self, root: Path, overlap: Sequence[Overlap], unused: Unused | None = None) -> None:
        """Logs and keeps what a reader of the results has to know about the files.

        Args:
            root: the folder of the data set.
            overlap: images that are in two splits.
            unused: files that are not used; None: all below the root that are neither in `records` nor in `lists`.
        """
        if unused is None:
            unused, name_of = Unused(), names_below(root)
            used = (path for record in self.records for path in record.files)
            unused.add_rest(walk(root), map(name_of, (*used, *self.lists)), LEFT_OUT)
        unused = unused.nameless() if self.ids.hashed else unused
        unused.report(self.name)
        self.notes = {"unused": unused.to_json(), "overlap": as_notes(overlap)}

    def conceal(self, records: Sequence[Record], root: Path, faults: Sequence[str]) -> tuple[str, ...]:
        """Names images as `ids` says, after they were read: in `records`, and in the faults, which it returns.

        Args:
            records: of all listed images.
            root: the folder of the data set.
            faults: a line for each that was skipped.
        """
        owners = owners_of(records)
        self.records = self.ids.records(records)
        found = tuple(self.ids.conceal(fault, root, owners) for fault in faults)
        self.ids.keep(self.name)
        return found
