"""Finds the images of a folder, and names their output files."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tandem.data.files.images import NIFTI, PILLOW, reader_of
from tandem.data.files.names import ending_of
from tandem.errors import ConfigError
from tandem.runs.folders import is_run
from tandem.utils.artifacts import MANIFEST
from tandem.utils.artifacts import PREDICTIONS as TABLE
from tandem.utils.names import printable
from tandem.utils.walk import walk
from tandem.utils.written import written_by

log = logging.getLogger(__name__)

MaskRule = Callable[[Sequence[Path]], set[Path]]
"""Finds the masks among absolute paths."""


@dataclass(frozen=True)
class Found:
    """A file that is expected to be an image.

    Attributes:
        path: the file.
        name: its path below the folder, as shown in tables.
        stem: the path of its output files without extension; unique among the files.
    """

    path: Path
    name: str
    stem: str

    @property
    def mask_ending(self) -> str:
        """Ending of its masks: NIfTI for NIfTI, since they are written in the file's own geometry, else PNG."""
        return ".nii.gz" if reader_of(self.path) is NIFTI else ".png"

    @property
    def may_state_spacing(self) -> bool:
        """Whether its format states the size of pixels in millimetres."""
        return reader_of(self.path) is not PILLOW


def find(images: Path, out: Path, is_mask: MaskRule | None = None) -> list[Found]:
    """Lists all files of a folder and its subfolders by name, links to folders included.

    Passed over are hidden files, the content of `out`, masks, and what commands of tandem wrote: predictions, runs,
    pages and figures. All but the first two are counted in the log.

    Output files of `a/b.jpg` are named `a/b`, or `a/b.jpg` if there is another `a/b` with any extension.

    Args:
        images: a folder, or one file.
        out: the output folder; it may lie inside `images`.
        is_mask: finds the masks among absolute paths; None: none is passed over.

    Raises:
        ConfigError: if no file is left.
    """
    if not images.is_dir():
        return [_found(images.parent, PurePosixPath(images.name), _without_ending(images.name))]
    passed: Counter[str] = Counter()
    if (what := _of_tandem(images)) is not None:
        raise ConfigError(f"images={images} is {what}: give a folder of images, or a folder in it")
    relative = sorted(_below(images, out.resolve(), passed))
    masks = is_mask([images.absolute() / path for path in relative]) if is_mask is not None else set()
    kept = [path for path in relative if images.absolute() / path not in masks]
    if masks:
        first = next(path for path in relative if path not in kept)
        what = f"masks of other files, such as {shown(str(first))} (skip_masks=false predicts them too)"
        passed[what] = len(relative) - len(kept)
    lines = [f"{count} {what}" for what, count in passed.items()]
    if not kept:
        but = f" but {', '.join(lines)}" if lines else ""
        raise ConfigError(f"images={images} contains no files{but}; give a folder with images, or an image")
    for line in lines:
        log.warning("images=%s: passed over %s", images, printable(line))
    return [_found(images, path, stem) for path, stem in zip(kept, _stems(kept), strict=True)]


def _found(folder: Path, path: PurePosixPath, stem: str) -> Found:
    return Found(folder / path, shown(str(path)), stem)


def _below(folder: Path, out: Path, passed: Counter[str]) -> Iterator[PurePosixPath]:
    """Paths of the files below a folder; counts what is passed over."""
    written: set[Path] = set()
    for here, folders, files in walk(folder):
        for name in list(folders):
            place = here / name
            what = None if name.startswith(".") or place.resolve() == out else _of_tandem(place)
            if what is not None:
                passed[f"files in {place}, {what}"] += sum(len(names) for *_, names in walk(place))
            if what is not None or name.startswith(".") or place.resolve() == out:
                folders.remove(name)
        written |= {here / name for names in written_by(here).values() for name in names}
        for name in files:
            file = here / name  # pipes and devices are listed too, so that they are reported as failed
            if name.startswith(".") or not file.exists():
                continue
            if file in written:
                passed["files that commands of tandem wrote"] += 1
            else:
                yield PurePosixPath(file.relative_to(folder).as_posix())


def _of_tandem(folder: Path) -> str | None:
    """What a folder holds, if a command of tandem made all of it."""
    if (folder / MANIFEST).is_file() and (folder / TABLE).is_file():
        return "a folder of earlier predictions"
    return "the folder of a run" if is_run(folder) else None


def _stems(paths: Sequence[PurePosixPath]) -> list[str]:
    """Drops the extension if the result is unique, ignoring case, as some file systems do."""
    bare = [_without_ending(str(path)) for path in paths]
    counts = Counter(name.casefold() for name in bare)
    whole = {str(path).casefold() for path, name in zip(paths, bare, strict=True) if str(path) != name}
    return [
        name if counts[name.casefold()] == 1 and name.casefold() not in whole else str(path)
        for path, name in zip(paths, bare, strict=True)
    ]


def _without_ending(name: str) -> str:
    """A path without its ending; numbers are none, as in DICOM's names such as `1.2.840.31`."""
    ending = ending_of(name)
    return name if re.fullmatch(r"\.\d+", ending) else name[: len(name) - len(ending)]


def shown(name: str) -> str:
    """Returns a file name for a table: valid UTF-8, and never a spreadsheet formula.

    Example:
        >>> shown("=cmd.png"), shown("a/b.png")
        ('./=cmd.png', 'a/b.png')
    """
    text = name.encode("utf-8", "backslashreplace").decode()
    return f"./{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
