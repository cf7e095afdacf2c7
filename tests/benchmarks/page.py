"""`make bench-page`: writes the tables and charts of docs/benchmarks.md from `results/bench/*.json`, and nothing else.

What stands above the first mark of the page is written by hand and stays.
"""

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from tests.benchmarks.harness import Row
from tests.benchmarks.record import FOLDER, ROOT, read

from tandem.reports.palette import GREEN, GREY, VERMILION, colour, marker, style
from tandem.utils.files import from_here, write_text

PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"
BEGIN, END = "<!-- made by make bench-page: begin -->", "<!-- made by make bench-page: end -->"

FIRST = ("step", "growth")
"""Benchmarks that stand at the top; the others follow by name."""

HEADS = ("what", "tandem", "peer", "ratio", "95 %", "pairs", "bar", "")


def main() -> int:
    """Writes page and charts."""
    paths = records(FOLDER)
    if not paths:
        sys.stderr.write(f"error: no record in {from_here(FOLDER)}: run make bench first\n")
        return 1
    for path in paths:
        for name, figure in charts(path).items():
            write_text(IMAGES / name, svg(figure))
    write_text(PAGE, rendered(PAGE.read_text(encoding="utf-8"), paths))
    print(f"{from_here(PAGE)}: {len(paths)} benchmarks")  # noqa: T201 (for the terminal)
    return 0


def records(folder: Path) -> list[Path]:
    """The records, in the order of the page."""
    every = {path.stem: path for path in sorted(folder.glob("*.json"))}
    return [every[name] for name in (*(name for name in FIRST if name in every), *sorted(every.keys() - set(FIRST)))]


def rendered(page: str, paths: Sequence[Path]) -> str:
    """The page with the part between the marks made anew.

    Raises:
        ValueError: the page lacks a mark.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"docs/benchmarks.md lacks {END if begin else BEGIN}: add it where the tables belong")
    return "\n".join([f"{before}{BEGIN}", "", *(section(path) for path in paths), f"{END}{after}"])


def section(path: Path) -> str:
    """The part of the page about one benchmark."""
    about, rows = read(path)
    images = [f"![{about['title']}](images/{name})\n" for name in charts(path)]
    lines = [f"## {path.stem}\n", f"{cell(about['title'])}\n", f"{facts(about)}\n", *images, table(rows)]
    return "\n".join(lines)


def facts(about: Mapping[str, Any]) -> str:
    """Where and when it was measured, in a line."""
    machine, versions = about["machine"], about["versions"]
    has = "multiplies bfloat16 itself" if machine["bfloat16"] else "has no bfloat16"
    memory = "" if machine["memory_gb"] is None else f", {machine['memory_gb']} GB"
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    commit = f" at {versions['commit'][:12]}" if versions["commit"] else ""
    changed = " with changes" if versions["changed"] else ""
    return (
        f"{about['date']}: {machine['processor']} ({has}), {machine['cores']} cores{memory}{gpu}, "
        f"{about['threads']} threads; Python {versions['python']}, torch {versions['torch']}, "
        f"Lightning {versions['lightning']}, tandem {versions['tandem']}{commit}{changed}; "
        f"measured in {about['seconds']} s."
    )


def table(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    body = [
        (
            row.what, row.ours, row.peer, f"{row.ratio:.2f}" if row.measured else "-", row.interval,
            str(row.pairs or ""), row.bar, row.verdict,
        )
        for row in rows
    ]  # fmt: skip
    rule = ("---", "---", "---", "---:", "---", "---:", "---", "---")
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in (HEADS, rule, *body)) + "\n"


def cell(text: str) -> str:
    """Plain text in a cell."""
    return text.replace("|", r"\|").replace("<", "&lt;").replace("[", r"\[").replace("]", r"\]").replace("_", r"\_")


def charts(path: Path) -> dict[str, Figure]:
    """The charts of a benchmark by the names of their files: ratios with their intervals, and curves."""
    _, rows = read(path)
    paired, curves = [row for row in rows if row.pairs], [row for row in rows if row.points]
    found = {}
    if paired:
        found[f"bench_{path.stem}.svg"] = ratios(paired)
    if curves:
        found[f"bench_{path.stem}_curves.svg"] = growth(curves)
    return found


def ratios(rows: Sequence[Row]) -> Figure:
    """A dot for each ratio, with its interval and its bar."""
    figure = Figure(figsize=(7.6, 0.9 + 0.3 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        shade = {"holds": GREEN, "missed": VERMILION, "": GREY}[row.verdict]
        axes.plot([row.low, row.high], [place, place], color=shade, linewidth=2, alpha=0.5)
        axes.plot([row.ratio], [place], marker="o", color=shade)
        if row.bar:
            axes.plot([float(row.bar.split()[-1])], [place], marker="|", color="black", markersize=12)
    axes.axvline(1, color="0.4", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{row.what}, {row.peer.rsplit(' ', 2)[0]}" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("times as fast as the peer: median, 95 % interval, bar", fontsize=8)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def growth(rows: Sequence[Row]) -> Figure:
    """Curves on logarithmic axes, each relative to its first point."""
    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        (x0, y0), label = row.points[0], f"{row.what}: {row.ratio:.2f}"
        x, y = [x / x0 for x, _ in row.points], [y / y0 for _, y in row.points]
        axes.plot(x, y, color=colour(place), linestyle=style(place), marker=marker(place), markersize=4, label=label)
    most = max(x / row.points[0][0] for row in rows for x, _ in row.points)
    axes.plot([1, most], [1, most], color="0.4", linewidth=1, label="linear: 1")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("times as much of it as at the first point")
    axes.set_ylabel("times the cost")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=7, framealpha=0.8, edgecolor="none")
    return figure


def svg(figure: Figure) -> str:
    """SVG whose text stays text, the same bytes for the same figures."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "tandem", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
