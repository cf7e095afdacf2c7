"""The pictures of a folder, and what each is called below `out`."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tandem.errors import ConfigError


@dataclass(frozen=True)
class Found:
    """A file that should be a picture.

    Attributes:
        path: the file.
        name: its path below the folder, as tables show it.
        stem: the path that what is written for it has, without ending; no other file's is the same.
    """

    path: Path
    name: str
    stem: str


def find(images: Path, out: Path) -> list[Found]:
    """All files of a folder and its subfolders in order of their names, without hidden ones and what lies in `out`.

    What is written for `a/b.jpg` is called `a/b`; but `a/b.jpg` where there is another `a/b` of any ending.

    Args:
        images: a folder, or one file.
        out: where files are to be written; may lie in it.

    Raises:
        ConfigError: a folder without files.
    """
    folder = images if images.is_dir() else images.parent
    relative = sorted(_below(images, out.resolve())) if images.is_dir() else [PurePosixPath(images.name)]
    if not relative:
        raise ConfigError(f"images={images} holds no files")
    return [Found(folder / path, shown(str(path)), stem) for path, stem in zip(relative, _stems(relative), strict=True)]


def _below(folder: Path, out: Path) -> Iterator[PurePosixPath]:
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        folders[:] = [name for name in folders if not name.startswith(".") and (here / name).resolve() != out]
        for name in files:
            if not name.startswith(".") and not (here / name).is_dir():  # a link to a folder is none of the files
                yield PurePosixPath((here / name).relative_to(folder).as_posix())


def _stems(paths: Sequence[PurePosixPath]) -> list[str]:
    """Without ending where that is no other's; compared in lower case, as some file systems do."""
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
    """A file's name for a table: UTF-8 whatever its bytes, and no formula to a spreadsheet.

    Example:
        >>> shown("=cmd.png"), shown("a/b.png")
        ('./=cmd.png', 'a/b.png')
    """
    text = name.encode("utf-8", "backslashreplace").decode()
    return f"./{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
