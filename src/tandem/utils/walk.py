"""Lists the folders below a folder, links to folders included."""

import os
from collections.abc import Iterator
from pathlib import Path


def walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yields each folder with the sorted names of its folders and files, as `os.walk`, and follows links to folders.

    A folder to which several paths lead is listed once, under its path without links if there is one, so that a loop
    of links ends. Names that the caller removes from the list of folders are not entered.

    Args:
        root: a folder, or a link to one.
    """
    seen: set[str] = set()
    links = [root]
    while links:
        for place, names, files in os.walk(links.pop(0)):
            if (real := os.path.realpath(place)) in seen:
                names.clear()
                continue
            seen.add(real)
            here = Path(place)
            names.sort()
            yield here, names, sorted(files)
            links += [here / name for name in names if (here / name).is_symlink()]


def files_named(root: Path, *names: str) -> Iterator[Path]:
    """Yields the files with these names in a folder and all folders below it, links to folders included."""
    for here, _, files in walk(root):
        yield from (here / name for name in names if name in files)
