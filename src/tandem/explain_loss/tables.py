"""Tables of the numbers, for the terminal, the page and csv files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tandem.explain_loss.explanation import Explanation
from tandem.explain_loss.regions import REGIONS
from tandem.explain_loss.shares import Moment, of_region
from tandem.utils.console import escape
from tandem.utils.terminal_table import print_table

SHOWN_PROBABILITIES = (0.1, 0.5, 0.9)
SHOWN_ERRORS = (0.5, 1.0, 2.0)
SHARES_OF = "% of the gradient (of it, hard pixels)"
PIXELS = "the pixels themselves"
"""Label of the shares of pixels in lists of settings."""


class Rows(NamedTuple):
    """A table: title, header, and rows of text; the columns from index `texts` on contain numbers."""

    title: str
    head: tuple[str, ...]
    body: list[tuple[str, ...]]
    texts: int


def curve_rows(explanation: Explanation) -> Rows:
    """Tabulates loss and gradient of each setting at a few probabilities (or errors)."""
    shown = SHOWN_ERRORS if explanation.kind == "regression" else SHOWN_PROBABILITIES
    title = "loss (|gradient|) at an error of" if explanation.kind == "regression" else "loss (|gradient|) at p ="
    body = []
    for label, several in explanation.curves.items():
        for place, curve in enumerate(several):
            at = {round(x, 6): index for index, x in enumerate(curve.x)}
            indices = [at[x] for x in shown]
            values = (f"{curve.loss[index]:.2f} ({curve.gradient[index]:.2f})" for index in indices)
            body.append((label if place == 0 else "", curve.of, *values))
    return Rows(title, ("setting", "of", *(f"{x:g}" for x in shown)), body, texts=2)


def share_rows(title: str, moments: Sequence[Moment]) -> Rows:
    """Tabulates the gradient shares of each setting in percent, below a heading row for each moment."""
    places = [place for place in REGIONS if any(of_region(moment.pixels, place) > 0 for moment in moments)]
    body = []
    for moment in moments:
        body.append((moment.name, *[""] * len(places)))
        for label, found in {PIXELS: moment.pixels, **moment.gradients}.items():
            values = (f"{_percent(of_region(found, place))} ({_percent(found[place, 'hard'])})" for place in places)
            body.append((f"  {label}", *values))
    return Rows(title, ("setting", *places), body, texts=1)


def curve_records(explanation: Explanation) -> list[dict[str, Any]]:
    """Returns one record for each point of a curve, for `curves.csv`."""
    return [
        {"setting": label, "of": curve.of, "x": x, "loss": loss, "gradient": gradient}
        for label, several in explanation.curves.items()
        for curve in several
        for x, loss, gradient in zip(curve.x, curve.loss, curve.gradient, strict=True)
    ]


def share_records(explanation: Explanation) -> Iterator[dict[str, Any]]:
    """Yields one record for each share, for `shares.csv`."""
    for masks, moments in (("data", explanation.moments), ("44 to 5", explanation.example)):
        for moment in moments:
            for label, found in {PIXELS: moment.pixels, **moment.gradients}.items():
                for (region, word), share in found.items():
                    place = {"masks": masks, "moment": moment.name, "setting": label}
                    yield {**place, "region": region, "pixels": word, "share": share}


def print_explanation(explanation: Explanation, files: Sequence[Path]) -> None:
    """Prints the tables and the paths of the files.

    Args:
        explanation: the content.
        files: the files written.
    """
    console = Console()
    for rows in all_rows(explanation):
        table = Table(title=escape(rows.title), title_justify="left", box=SIMPLE_HEAD)
        for index, name in enumerate(rows.head):
            table.add_column(name, justify="left" if index < rows.texts else "right")
        for row in rows.body:
            table.add_row(*map(escape, row), style="bold" if is_heading(row) else None)
        print_table(table, console)
    for line in explanation.computed:
        console.print(f"computed from the training masks: {line}", highlight=False, markup=False)
    for path in files:
        console.print(f"{path.suffix.removeprefix('.')}: {path}", highlight=False, soft_wrap=True, markup=False)


def is_heading(row: Sequence[str]) -> bool:
    """Whether a row is a heading of the rows below it."""
    return not any(row[1:])


def all_rows(explanation: Explanation) -> list[Rows]:
    """Returns all tables of an explanation, in the order of the page."""
    tables = [curve_rows(explanation)]
    if explanation.moments:
        tables.append(share_rows(f"{SHARES_OF}: {explanation.masks}", explanation.moments))
        tables.append(share_rows(f"{SHARES_OF}: 44 background pixels, 5 lesion pixels", explanation.example))
    return tables


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share == share else "-"
