"""Lists the folders below a folder, links to folders included."""

import os
from collections.abc import Callable, Iterator
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
        top = str(links.pop(0))
        real_of = _real_below(top)
        for place, names, files in os.walk(top):
            if (real := real_of(place)) in seen:
                names.clear()
                continue
            seen.add(real)
            here = Path(place)
            names.sort()
            yield here, names, sorted(files)
            links += [here / name for name in names if os.path.islink(f"{place}{os.sep}{name}")]  # noqa: PTH114  # quicker


def _real_below(top: str) -> Callable[[str], str]:
    """The path without links of a folder that `os.walk` finds below another one.

    `os.walk` follows no link, so that only those above have to be resolved: to do so for each of thousands of folders
    takes half of the time of a list of runs. On Windows it follows junctions.
    """
    if os.name == "nt":
        return os.path.realpath
    real = os.path.realpath(top)
    return lambda place: os.path.join(real, below) if (below := place.removeprefix(top).lstrip(os.sep)) else real  # noqa: PTH118  # text


def files_named(root: Path, *names: str) -> Iterator[Path]:
    """Yields the files with these names in a folder and all folders below it, links to folders included."""
    for here, _, files in walk(root):
        yield from (here / name for name in names if name in files)
