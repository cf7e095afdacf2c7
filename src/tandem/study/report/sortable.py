"""A table that sorts by the column whose name is clicked."""

import math
from collections.abc import Sequence
from html import escape

from tandem.study.table import Entry, Number, ResultTable, numeric_columns

SORT = """
document.querySelectorAll("table.sortable").forEach(table => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    const key = row => row.cells[place].dataset.value ?? row.cells[place].textContent;
    const number = head.classList.contains("n");
    const compare = (a, b) => number ? a - b : a.localeCompare(b, undefined, { numeric: true });
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return up ? compare(a, b) : compare(b, a);
    });
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...rows);
  }));
});
"""
"""Rows without a value stay at the end, whichever way one sorts."""

LONG = 60
"""Text of more letters may be broken into lines."""


def sortable(table: ResultTable, links: Sequence[str | None] = ()) -> str:
    """HTML of a table; `SORT` has to follow once on the page.

    Args:
        table: with any text in it.
        links: for each row where its first entry leads; none: nowhere.
    """
    numeric = numeric_columns(table)
    heads = "".join(
        f"<th{' class=n' if number else ''}><button>{escape(name)}</button></th>"
        for name, number in zip(table.head, numeric, strict=True)
    )
    body = []
    for place, row in enumerate(table.rows):
        link = links[place] if links else None
        cells = [_cell(entry, number) for entry, number in zip(row, numeric, strict=True)]
        if link and isinstance(row[0], str):
            cells[0] = f"<td><a href='{escape(link)}'>{escape(row[0])}</a></td>"
        body.append(f"<tr>{''.join(cells)}</tr>")
    head = f"<thead><tr>{heads}</tr></thead>"
    return f"<div class='scroll'><table class='sortable'>{head}<tbody>{''.join(body)}</tbody></table></div>"


def _cell(entry: Entry, number: bool) -> str:
    if not isinstance(entry, Number):
        css = " class=n" if number else " class=long" if len(str(entry)) > LONG else ""
        return f"<td{css}>{escape(str(entry))}</td>"
    value = "" if math.isnan(entry.mean) else repr(entry.mean)
    title = f" title='{escape(entry.detail)}'" if entry.detail else ""
    text = escape(entry.text())
    if ends := escape(entry.ends()):  # on a line of its own, so that a page holds more columns
        text = text.replace(f" {ends}", f"<br><small>{ends}</small>")
    return f"<td class='n{' best' if entry.best else ''}' data-value='{value}'{title}>{text}</td>"
