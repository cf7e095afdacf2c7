"""A table as data, and as CSV, Markdown and LaTeX."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tandem.utils.names import as_cell, printable


@dataclass(frozen=True)
class Number:
    """A cell with a number.

    Attributes:
        mean: the number; nan where it is unknown.
        std: standard deviation, nan where there is none.
        n: how many runs it is over; None where it stands in a column of its own, or means nothing.
        of: how many runs there are; where n is less, it is said beside the number.
        best: whether it is the best of its column.
        digits: after the point.
        detail: what a page shows when one points at it.
        low: lower end of the 95 % interval of the mean; nan where there is none.
        high: its upper end.
    """

    mean: float
    std: float = math.nan
    n: int | None = None
    of: int | None = None
    best: bool = False
    digits: int = 3
    detail: str = ""
    low: float = math.nan
    high: float = math.nan

    def text(self, between: str = " ± ") -> str:
        """As a person reads it; a dash where it is unknown."""
        ends = f" {self.ends()}" if self.ends() else ""
        fewer = f" (n={self.n})" if self.of is not None and self.n != self.of else ""
        return f"{self.middle(between)}{ends}{fewer}" if not math.isnan(self.mean) else "-"

    def middle(self, between: str = " ± ") -> str:
        """The mean with its deviation."""
        smallest = 10.0**-self.digits
        if 0 < self.mean < smallest / 2 and math.isnan(self.std):
            return f"<{smallest:.{self.digits}f}"
        spread = "" if math.isnan(self.std) else f"{between}{self.std:.{self.digits}f}"
        return f"{self.mean:{'' if self.digits else ','}.{self.digits}f}{spread}"

    def ends(self) -> str:
        """The interval; empty where there is none."""
        return "" if math.isnan(self.low) else f"[{self.low:.{self.digits}f}, {self.high:.{self.digits}f}]"


Entry = str | int | Number


@dataclass(frozen=True)
class ResultTable:
    """A table.

    Attributes:
        title: over it.
        head: of the columns.
        rows: entries, one for each column.
        notes: below it, a line each.
        names: of the columns in CSV; the head where there are none.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    notes: Sequence[str] = ()
    names: Sequence[str] = ()


def to_csv(table: ResultTable) -> str:
    """CSV with whole numbers: a mean with its deviation has columns `.std` and `.n` too, one with an interval ends."""
    wide = [_suffixes([row[place] for row in table.rows]) for place in _places(table)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [name for place, head in enumerate(table.names or table.head) for name in _columns(head, wide[place])]
    )
    for row in table.rows:
        writer.writerow([value for place, entry in enumerate(row) for value in _values(entry, wide[place])])
    return text.getvalue()


def to_markdown(table: ResultTable) -> str:
    """A Markdown table with its title and notes; the best of a column in bold."""
    numeric = numeric_columns(table)
    lines = [
        f"## {_markdown(table.title)}\n",
        _line(map(_markdown, table.head)),
        _line("---:" if numeric[place] else "---" for place in _places(table)),
        *(_line(map(_markdown_entry, row)) for row in table.rows),
        "",
        *(f"{_markdown(note)}\n" for note in table.notes),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def to_latex(table: ResultTable) -> str:
    r"""A `tabular` for `\input` (package booktabs); the best of a column in bold, title and notes as comments."""
    columns = "".join("r" if numeric else "l" for numeric in numeric_columns(table))
    comments = [f"% {' '.join(line.split())}" for line in (table.title, *table.notes)]
    rows = (" & ".join(map(_latex_entry, row)) + r" \\" for row in table.rows)
    head = " & ".join(map(_latex, table.head)) + r" \\"
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*comments, *body]) + "\n"


def numeric_columns(table: ResultTable) -> list[bool]:
    """Whether each column holds numbers."""
    return [any(not isinstance(row[place], str) for row in table.rows) for place in _places(table)]


def _places(table: ResultTable) -> range:
    return range(len(table.head))


def _suffixes(column: Sequence[Entry]) -> dict[str, str]:
    """Attributes that stand in further columns of the CSV, with the ends of the columns' names."""
    numbers = [entry for entry in column if isinstance(entry, Number)]
    summary = {"std": ".std", "n": ".n"} if any(entry.n is not None for entry in numbers) else {}
    interval = {"low": ".low", "high": ".high"} if any(not math.isnan(entry.low) for entry in numbers) else {}
    return {**summary, **interval}


def _columns(head: str, wide: Mapping[str, str]) -> list[str]:
    return [head, *(f"{head}{suffix}" for suffix in wide.values())]


def _values(entry: Entry, wide: Iterable[str]) -> list[str]:
    if not isinstance(entry, Number):
        return [as_cell(str(entry)), *("" for _ in wide)]
    values = (entry.mean, *(getattr(entry, name) for name in wide))
    return ["" if isinstance(value, float) and math.isnan(value) else repr(value) for value in values]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    one_line = printable(" ".join(text.split())).replace("<", "&lt;")
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", one_line)


def _markdown_entry(entry: Entry) -> str:
    if not isinstance(entry, Number):
        return _markdown(str(entry))
    return f"**{entry.text()}**" if entry.best else entry.text().replace("<", "&lt;")


LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "†": r"$\dagger$",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in " ".join(text.split()))


def _latex_entry(entry: Entry) -> str:
    if not isinstance(entry, Number):
        return _latex(str(entry))
    text = entry.text(r" \pm ") if entry.digits else entry.text().replace(",", "{,}")
    if text == "-":
        return "--"
    return rf"$\mathbf{{{text}}}$" if entry.best else f"${text}$"
