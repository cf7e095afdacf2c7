"""Finds the images of a folder, and names their output files."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tandem.errors import ConfigError


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


def find(images: Path, out: Path) -> list[Found]:
    """Lists all files of a folder and its subfolders by name, except hidden files and the content of `out`.

    Output files of `a/b.jpg` are named `a/b`, or `a/b.jpg` if there is another `a/b` with any extension.

    Args:
        images: a folder, or one file.
        out: the output folder; it may lie inside `images`.

    Raises:
        ConfigError: if the folder has no files.
    """
    folder = images if images.is_dir() else images.parent
    relative = sorted(_below(images, out.resolve())) if images.is_dir() else [PurePosixPath(images.name)]
    if not relative:
        raise ConfigError(f"images={images} contains no files")
    return [Found(folder / path, shown(str(path)), stem) for path, stem in zip(relative, _stems(relative), strict=True)]


def _below(folder: Path, out: Path) -> Iterator[PurePosixPath]:
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = [name for name in folders if not name.startswith(".") and (here / name).resolve() != out]
        for name in files:
            if not name.startswith(".") and (here / name).is_file():
                yield PurePosixPath((here / name).relative_to(folder).as_posix())


def _stems(paths: Sequence[PurePosixPath]) -> list[str]:
    """Drops the extension if the result is unique, ignoring case, as some file systems do."""
    counts = Counter(_key(path.with_suffix("")) for path in paths)
    whole = {_key(path) for path in paths if path.suffix}
    return [
        str(path.with_suffix("") if counts[key] == 1 and key not in whole else path)
        for path in paths
        for key in [_key(path.with_suffix(""))]
    ]


def _key(path: PurePosixPath) -> str:
    return str(path).casefold()


def shown(name: str) -> str:
    """Returns a file name for a table: valid UTF-8, and never a spreadsheet formula.

    Example:
        >>> shown("=cmd.png"), shown("a/b.png")
        ('./=cmd.png', 'a/b.png')
    """
    text = name.encode("utf-8", "backslashreplace").decode()
    return f"./{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
