"""Options that several sources share, each with its default and its documentation here only.

A source lists its own options and passes the others on as `**shared`. Its signature shows all of them, so that a
configuration with an unknown key is refused before the source is made.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.data.files.faults import check_on_error
from tandem.data.files.records import Record
from tandem.data.loading.storage import Storage
from tandem.data.splitting.split_spec import FRACTIONS, SplitSpec


def _with_shared(source: type) -> inspect.Signature:
    """A class's signature, in which the keyword-only options of its base stand in for `**shared`."""
    signature = inspect.signature(source.__init__)  # type: ignore[misc]
    _, *own = signature.parameters.values()
    if not own or own[-1].kind is not inspect.Parameter.VAR_KEYWORD:
        return signature.replace(parameters=own)
    known = {parameter.name for parameter in own}
    base = inspect.signature(source.__mro__[1]).parameters.values()
    passed = [option for option in base if option.kind is option.KEYWORD_ONLY and option.name not in known]
    return signature.replace(parameters=[*own[:-1], *passed])


class SplitSource:
    """Base of the sources whose rows are divided into `train`, `val` and `test` here.

    Args:
        fractions: shares of `train`, `val` and `test`, above 0, together 1.
        split_seed: draws the splits; 0 or more.
        folds: number of folds for cross-validation, or None.
        fold: the fold to test on, from 0.
        split_file: csv file `id,split`, such as the `splits.csv` of another run, or None.
        on_error: `fail` refuses the data set for any fault in it, `skip` leaves out the rows concerned.

    Attributes:
        division: how rows are divided.
        files_fingerprint: after `load`, a checksum over all files used; None before.
        skipped: after `load`, a line for each fault that was skipped.
        files_root: after `load`, the folder of the files; None before, and for a formula.
        lists: after `load`, the files read besides those of `records`: tables, lists, an archive.

    Raises:
        ConfigError: an argument out of its range.
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Lists the options behind `**shared` in the signature of a subclass."""
        super().__init_subclass__(**kwargs)
        cls.__signature__ = _with_shared(cls)  # type: ignore[attr-defined]


class FileSource(SplitSource):
    """Base of the sources that consist of image files, decoded once.

    Args:
        size: side of the square images in pixels, 8 to 4096; other images are stretched to it.
        channels: 1 for grey, 3 for RGB.
        cache: folder of the disk cache; None for `$TANDEM_CACHE` or `~/.cache/tandem`.
        memory_gb: decoded images that need more than so many GB are read from the disk cache batch by batch; None for
            half of the free memory.
        shared: options of `SplitSource`.

    Attributes:
        size: as given.
        channels: as given.
        storage: where decoded images are kept.
        files_fingerprint: after `load`, the SHA-256 over names and bytes of all files used; None before.
        records: after `load`, the files of each image that was listed.
    """

    def __init__(
        self,
        *,
        size: int = 128,
        channels: int = 1,
        cache: str | None = None,
        memory_gb: float | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.size, self.channels = size, channels
        self.cache, self.storage = cache, Storage(cache, memory_gb)
        self.records: tuple[Record, ...] = ()
