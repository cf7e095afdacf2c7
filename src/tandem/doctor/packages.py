"""Versions of tandem's own packages, and which extras and trackers are installed."""

import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

import tandem
from tandem.doctor.section import Line, Section
from tandem.utils.optional import how_to_install

TRACKERS = ("wandb", "mlflow", "trackio")
"""Extras that are trackers; the tracker writes to disk, or asks for its account, when a run starts."""


def versions() -> Section:
    """Returns the versions of tandem and of what it needs; a version below its floor is a fault."""
    lines = [
        Line("tandem", f"{tandem.DISTRIBUTION} {tandem.__version__}"),
        Line("Python", f"{platform.python_version()} ({sys.platform}, {platform.machine()})"),
    ]
    return Section("packages", [*lines, *(_line(needed) for needed in _needed(""))])


def extras() -> Section:
    """Returns the extras; one that is not installed is no fault, one that is too old is."""
    names = sorted({name for needed in _all() for name in _extras_of(needed)} - {"dev"})
    lines = []
    for name in names:
        found = [_line(needed) for needed in _needed(name)]
        absent = [line.name for line in found if line.value == "absent"]
        kind = "tracker, " if name in TRACKERS else ""
        if absent:
            lines.append(Line(name, f"{kind}not installed ({how_to_install(name)})"))
            continue
        fault = "; ".join(f"{line.name} {line.fault}" for line in found if line.fault)
        lines.append(Line(name, kind + ", ".join(f"{line.name} {line.value}" for line in found), fault))
    return Section("extras", lines)


def _all() -> Sequence[Requirement]:
    try:
        return [Requirement(text) for text in requires(tandem.DISTRIBUTION) or ()]
    except PackageNotFoundError:  # run from a folder on PYTHONPATH
        return ()


def _needed(extra: str) -> Iterator[Requirement]:
    """The requirements of an extra, or those without one."""
    for needed in _all():
        if extra in _extras_of(needed) if extra else not _extras_of(needed):
            yield needed


def _extras_of(needed: Requirement) -> set[str]:
    marker = str(needed.marker or "")
    return {part.strip("'\" ") for part in marker.split("==")[1:]} if "extra" in marker else set()


def _line(needed: Requirement) -> Line:
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return Line(needed.name, "absent", f"install {needed.name}{needed.specifier}")
    fits = needed.specifier.contains(found, prereleases=True)
    return Line(needed.name, found, "" if fits else f"tandem needs {needed.specifier}; install the locked versions")
