"""Tables of an audit, for the page, the terminal and csv files."""

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tandem.audit.audit import Audit
from tandem.audit.facts import EMPTY, FILLED, MISSING, Facts
from tandem.audit.levels import LevelFacts
from tandem.data.samples import SPLITS

UNKNOWN = "unknown"
COMMON = 5

Cell = str | int | float


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        title: its title; also the name of its csv file.
        head: names of the columns.
        rows: cells.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def on_the_right(cells: Iterable[Cell]) -> bool:
    """Whether a column stands on the right: numbers and shares, also where some are not known.

    Example:
        >>> on_the_right(["4.0%", "-"]), on_the_right([3, 0.5]), on_the_right(["8 bits"])
        (True, True, False)
    """
    return all(re.fullmatch(r"-|[\d.]+%?", str(cell)) for cell in cells)


def sheets(audit: Audit) -> list[Sheet]:
    """Returns all tables that are not empty."""
    makers = (classes, masks, findings, columns, modes, levels, unused, sizes, common_sizes)
    return [sheet for sheet in (make(audit) for make in makers) if sheet.rows]


def classes(audit: Audit) -> Sheet:
    """Counts the images of each class in each split."""
    rows: list[tuple[Cell, ...]] = []
    for name, members in _by_class(audit):
        counts = Counter(row.split for row in members)
        share = f"{len(members) / len(audit.rows):.1%}"
        rows.append((name, *(counts[split] for split in SPLITS), len(members), share))
    total = Counter(row.split for row in audit.rows)
    rows.append(("all", *(total[split] for split in SPLITS), len(audit.rows), "100.0%"))
    return Sheet("Classes", ("class", *SPLITS, "all", "share"), tuple(rows))


def masks(audit: Audit) -> Sheet:
    """Counts filled, empty and missing masks, with their areas, for each class."""
    rows: list[tuple[Cell, ...]] = []
    for name, members in [*_by_class(audit), ("all", list(audit.rows))]:
        states = Counter(row.mask for row in members)
        rows.append((name, states[FILLED], states[EMPTY], states[MISSING], *_areas(members)))
    shown = any(row.mask for row in audit.rows)
    head = ("class", "with something marked", "empty", "no mask", "least area", "median", "mean", "largest")
    return Sheet("Masks", head, tuple(rows) if shown else ())


def findings(audit: Audit) -> Sheet:
    """Counts the answers to the yes/no questions about whole images."""
    rows = tuple(
        (name, split, yes, no, unknown, f"{yes / (yes + no):.1%}" if yes + no else "-")
        for (name, split), (yes, no, unknown) in sorted(audit.findings.items())
    )
    return Sheet("Findings", ("finding", "split", "yes", "no", "unknown", "share of yes"), rows)


def columns(audit: Audit) -> Sheet:
    """Summarises the numbers that belong to images."""
    rows = tuple(
        (name, split, f"{low:.4g}", f"{mean:.4g}", f"{high:.4g}", unknown)
        for (name, split), (low, mean, high, unknown) in sorted(audit.columns.items())
    )
    return Sheet("Numbers", ("column", "split", "least", "mean", "largest", "unknown"), rows)


def modes(audit: Audit) -> Sheet:
    """Counts files by format, mode and type of the pixels."""
    counts = Counter((file.format, file.mode, file.pixels) for file in audit.files)
    rows = tuple((*kind, count) for kind, count in counts.most_common())
    return Sheet("Files", ("format", "mode", "pixels", "files"), rows)


def levels(audit: Audit) -> Sheet:
    """Shows which levels the images use, and which of them become black and white."""
    rows = tuple(
        (
            depth(of),
            of.images,
            *(f"{level:.6g}" for level in of.quantiles),
            "-" if of.bits is None else of.bits,
            *(f"{end:.6g}" for end in of.ends),
        )
        for of in audit.levels
    )
    head = ("files", "images", "least", "median", "largest", "bits used", "black", "white")
    return Sheet("Levels", head, rows)


def depth(facts: LevelFacts) -> str:
    """The bits per channel of files, in words."""
    return "over 8 bits" if facts.deep else "8 bits"


def unused(audit: Audit) -> Sheet:
    """Counts the files that are not used, by ending and reason."""
    rows = tuple((kind["ending"], kind["reason"], kind["count"], ", ".join(kind["first"])) for kind in audit.unused)
    return Sheet("Files not used", ("ending", "reason", "files", "the first"), rows)


def sizes(audit: Audit) -> Sheet:
    """Summarises the sizes of the image files."""
    known = [file for file in audit.files if file.width]
    sides = {"width": [file.width for file in known], "height": [file.height for file in known]}
    rows = tuple(
        (name, min(values), round(statistics.median(values)), max(values), len(set(values)))
        for name, values in sides.items()
        if values
    )
    return Sheet("Sizes in pixels", ("side", "least", "median", "largest", "different values"), rows)


def common_sizes(audit: Audit) -> Sheet:
    """Counts the most frequent sizes of image files."""
    counts = Counter((file.width, file.height) for file in audit.files if file.width)
    rows = tuple((width, height, count) for (width, height), count in counts.most_common(COMMON))
    return Sheet("Commonest sizes", ("width", "height", "files"), rows)


def _areas(members: Sequence[Facts]) -> list[str]:
    """Minimum, median, mean and maximum of the marked share of the image."""
    areas = [row.area for row in members if row.mask == FILLED]
    if not areas:
        return ["-"] * 4
    return [f"{value:.1%}" for value in (min(areas), statistics.median(areas), statistics.fmean(areas), max(areas))]


def _by_class(audit: Audit) -> list[tuple[str, Sequence[Facts]]]:
    """Groups the images by class, with those of unknown class last; empty if the data set has no classes."""
    if not audit.classes:
        return []
    named = [(name, [row for row in audit.rows if row.label == name]) for name in audit.classes]
    unknown = [row for row in audit.rows if not row.label]
    return [*named, (UNKNOWN, unknown)] if unknown else [*named]
