"""Writes the files of an audit: a page, and tables for spreadsheets."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.audit.facts import Facts, FileFacts
from tandem.audit.remarks import remarks, verdict
from tandem.audit.report.figures import class_balance, level_histogram, mask_areas, pair
from tandem.audit.tables import depth, on_the_right, sheets
from tandem.reports.page import answer, details, document, figure, folded, scroll
from tandem.utils.files import write_text
from tandem.utils.names import as_cell

if TYPE_CHECKING:
    from tandem.audit.audit import Audit, Likeness
    from tandem.data.samples import Samples

PAGE = "audit.html"
STYLE = "img.pair, figure:has(> img.pair) { width: 20rem; } details table { font-size: .8rem; }"
SHOWN_FAULTS = 200
SHOWN_PAIRS = 500
OVERLAP = ("one", "other", "split of one", "split of other", "same", "group")
PAIR = (
    *("one", "other", "split of one", "split of other", "class of one", "class of other"),
    *("distance", "correlation", "identical", "different splits", "different classes"),
)


def write_audit(audit: "Audit", splits: Mapping[str, "Samples"], folder: Path, pairs: int) -> Path:
    """Writes the tables, then the page.

    Args:
        audit: the result of the audit.
        splits: the splits, to show the images of the worst pairs.
        folder: where the files go.
        pairs: number of pairs to show.

    Returns:
        The path of the page.
    """
    for sheet in sheets(audit):
        name = re.sub(r"\W+", "_", sheet.title.lower())
        _write(folder / f"{name}.csv", sheet.head, sheet.rows)
    for name, kind, items in (("images", Facts, audit.rows), ("file_headers", FileFacts, audit.files)):
        head = [column.name for column in fields(kind)]
        _write(folder / f"{name}.csv", head, [astuple(item) for item in items])
    _write(folder / "alike.csv", PAIR, map(_pair_row, audit.alike or ()))
    _write(folder / "overlap.csv", OVERLAP, map(_overlap_row, audit.overlap))
    write_text(folder / "faults.txt", "".join(f"{_line(fault)}\n" for fault in audit.faults))
    page = folder / PAGE
    write_text(page, document(f"tandem: audit of {audit.name}", list(_parts(audit, splits, pairs)), STYLE))
    return page


def _parts(audit: "Audit", splits: Mapping[str, "Samples"], pairs: int) -> Iterable[str]:
    yield f"<h1>{escape(audit.name)}</h1>{answer(verdict(audit))}"
    if lines := remarks(audit):
        yield f"<ul class='warnings'>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
    if audit.classes:
        yield figure(class_balance(audit), "images of each class")
    if any(row.area > 0 for row in audit.rows):
        yield figure(mask_areas(audit.rows, audit.classes), "area of masks that are not empty")
    for facts in audit.levels:
        yield figure(level_histogram(facts), f"levels of {facts.images} images of {depth(facts)}")
    for sheet in sheets(audit):
        yield f"<h2>{escape(sheet.title)}</h2>{_table(sheet.head, sheet.rows)}"
    yield "<h2>Faults</h2>"
    yield _faults(audit.faults)
    yield "<h2>Near-duplicates</h2>"
    yield from _alike(audit, splits, pairs)


def _faults(faults: Sequence[str]) -> str:
    if not faults:
        return "<p class='note'>everything can be used</p>"
    lines = [_line(fault) for fault in faults[:SHOWN_FAULTS]]
    if len(faults) > SHOWN_FAULTS:
        lines.append(f"... and {len(faults) - SHOWN_FAULTS} more in faults.txt")
    return details(f"{len(faults)} things cannot be used", "\n".join(lines))


def _alike(audit: "Audit", splits: Mapping[str, "Samples"], pairs: int) -> Iterable[str]:
    alike = audit.alike
    if not audit.compared:
        yield "<p class='note'>too many images to search for near-duplicates; only identical images are listed</p>"
    if not alike:
        yield f"<p class='note'>{'no search was made' if alike is None else 'none'}</p>"
        return
    shown = f"the worst {min(pairs, len(alike))} of {len(alike)} pairs"
    yield (
        f"<p class='note'>{shown}: those in different splits first, then those of different classes. Distance: number "
        "of the 256 bits in which the perceptual hashes differ; unrelated images differ in about 128.</p>"
    )
    for likeness in alike[:pairs]:
        yield figure(pair(likeness, splits), _caption(likeness), css="pair")
    rows = map(_pair_row, alike[:SHOWN_PAIRS])
    more = f" (the first {SHOWN_PAIRS}; all are in alike.csv)" if len(alike) > SHOWN_PAIRS else ""
    yield folded(f"{len(alike)} pairs{more}", _table(PAIR, rows))


def _caption(likeness: "Likeness") -> str:
    notes = [f"distance {likeness.distance}, correlation {likeness.correlation:.3f}"]
    notes += ["identical"] * likeness.identical
    notes += ["different splits"] * likeness.across
    notes += ["different classes"] * likeness.conflict
    return "; ".join(notes)


def _overlap_row(pair: Mapping[str, Any]) -> tuple[Any, ...]:
    return (pair["one"], pair["other"], *pair["splits"], pair["reason"], pair["group"])


def _pair_row(likeness: "Likeness") -> tuple[Any, ...]:
    one, other = likeness.one, likeness.other
    cells = (one.id, other.id, one.split, other.split, one.label, other.label)
    found = (likeness.distance, round(likeness.correlation, 4), likeness.identical, likeness.across, likeness.conflict)
    return (*cells, *found)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    rows = list(rows)
    css = [" class='n'" if on_the_right(column) else "" for column in zip(*rows, strict=True)] or [""] * len(head)
    top = "".join(f"<th{one}>{escape(cell)}</th>" for one, cell in zip(css, head, strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, css, row))}</tr>" for row in rows)
    return scroll(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")


def _cell(css: str, value: Any) -> str:
    text = ("yes" if value else "") if isinstance(value, bool) else str(value)
    return f"<td{css}>{escape(text)}</td>"


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([as_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    write_text(path, text.getvalue())


def _line(fault: str) -> str:
    return " ".join(fault.split())
