"""The self-contained page of a study: tables that sort, charts that answer, no network."""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from tandem.reports.page import answer, document
from tandem.study.analysis import Analysis, focused
from tandem.study.answer import study_answer
from tandem.study.cells import show_replicate
from tandem.study.report.charts import THEME, Chart, chart_html
from tandem.study.report.grids import heat_maps, main_effects, parallel
from tandem.study.report.lines import forest, front, learning_curves, threshold_curves
from tandem.study.report.matrices import MOST, confusion_matrices
from tandem.study.report.sortable import SORT, sortable
from tandem.study.table import Entry, Number, ResultTable
from tandem.study.tables import data_of, title_of, uncounted_lines, unfinished_lines
from tandem.utils.optional import load

STYLE = """
body { max-width: 76rem; } nav { margin: 1rem 0; } nav a { margin-right: 1rem; display: inline-block; }
.chart { width: 100%; min-height: 20rem; }
.scroll { overflow: auto; max-height: 56rem; border-bottom: 1px solid var(--faint); }
table { font-size: .88rem; } thead th { position: sticky; top: 0; background: var(--page); vertical-align: bottom; }
th button { all: unset; cursor: pointer; } th button:hover, th button:focus-visible { color: var(--link); }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
tbody tr:hover { background: var(--row); } td:not(.long) { white-space: nowrap; } td.long { min-width: 18rem; }
td.best { font-weight: 600; }
td.n[title] { cursor: help; } td.n small { color: var(--soft); } thead th.n { white-space: normal; }
text.updatemenu-header-arrow { fill: var(--text) !important; }
.updatemenu-dropdown-button:hover rect.updatemenu-item-rect { fill: var(--row) !important; }
rect.updatemenu-item-rect { fill: var(--page) !important; }
p.live { background: var(--answer); border-left: 4px solid var(--answer-edge); padding: .4rem .8rem; }
"""


def study_page(analysis: Analysis, tables: Mapping[str, ResultTable], out: Path, reload: int | None = None) -> str:
    """The page.

    Args:
        analysis: of the study.
        tables: by the names of their files.
        out: the folder that the page goes to, for the links to the runs' own pages.
        reload: seconds after which it loads itself anew; None: never.

    Raises:
        ConfigError: plotly is not installed.
    """
    plotly: str = load("plotly.offline", "study", "the page of a study (its tables are written)").get_plotlyjs()
    sections = list(_sections(analysis, tables))
    sections.append(("runs", "Every run", _runs(analysis, out)))
    links = "".join(f"<a href='#{name}'>{escape(title)}</a>" for name, title, _ in sections)
    parts = [f"<script>{plotly}</script><script>{THEME}</script>", *_heading(analysis, reload), f"<nav>{links}</nav>"]
    parts += [f"<h2 id='{name}'>{escape(title)}</h2>{html}" for name, title, html in sections]
    return document(f"tandem: {title_of(analysis)}", [*parts, f"<script>{SORT}</script>"], STYLE)


Section = tuple[str, str, str]
"""Name of a place on the page, title, HTML."""


def _sections(analysis: Analysis, tables: Mapping[str, ResultTable]) -> Sequence[Section]:
    found = [("table", "Table", _table(tables["table"]))]
    if "classes" in tables:
        found.append(("classes", tables["classes"].title, _table(tables["classes"])))
    found += _charts(focused(analysis))
    if "comparison" in tables:
        table = tables["comparison"]
        drawn = forest(focused(analysis))
        chart = chart_html(drawn, "chart-forest", "differences to the baseline") if drawn else ""
        said = f"<p class='note'>{escape(table.title)}</p>"
        found.append(("comparison", "Against the baseline", said + chart + _table(table)))
    else:
        said = "No baseline was given; add one: <code>study.py FOLDER --baseline KEY=VALUE ...</code>"
        found.append(("comparison", "Against a baseline", f"<p class='note'>{said}</p>"))
    if "delta_m" in tables:
        found.append(("delta", tables["delta_m"].title, _table(tables["delta_m"])))
    return found


def _charts(analysis: Analysis) -> list[Section]:
    drawn: list[tuple[str, str, Chart | None, str]] = [
        ("heat", "Heat maps", heat_maps(analysis), _heat_note(analysis)),
        (
            "effects", "Main effects", main_effects(analysis),
            "Dots: runs. Diamonds: the mean over cells at each value, which misleads where the grid has holes.",
        ),
        (
            "parallel", "Parallel coordinates", parallel(analysis),
            "A line a cell. Drag along an axis to keep part of it, click it to let go.",
        ),
        (
            "learning", "Learning curves", learning_curves(analysis),
            "A line a run; colour, dashes and markers tell the cells apart. Click a cell in the legend to hide it, "
            "twice to see it alone.",
        ),
        (
            "front", "What is traded for what", front(analysis),
            "A dot a cell, with its standard deviation; orange diamonds: no other cell has better means in both.",
        ),
        (
            "thresholds", "Scores against threshold", threshold_curves(analysis),
            "A line a run; the dot is the threshold that was chosen on validation data.",
        ),
        (
            "confusion", "Confusion matrices", confusion_matrices(analysis),
            f"Test data, added over seeds and folds. Colour: share of the true class. At most {MOST} are drawn.",
        ),
    ]  # fmt: skip
    return [
        (name, title, f"<p class='note'>{escape(note)}</p>{chart_html(chart, f'chart-{name}', title)}")
        for name, title, chart, note in drawn
        if chart
    ]


def _heat_note(analysis: Analysis) -> str:
    unknown = [analysis.words(name) for name in analysis.metrics if analysis.quantity(name).sign == 0]
    said = f" Brown, of {', '.join(unknown)}: darker is higher, which need not be better." if unknown else ""
    return (
        "Means over seeds and folds; darker is better. The colours span at least the 95 % interval of a cell's mean, "
        f"so that noise looks even.{said}"
    )


IN_HEADING = (
    *("failed", "missing", "running", "unreadable", "interrupted", "killed", "timed out", "pruned", "never started"),
    *("copy: ", "not counted: "),
)
"""Beginnings of notes that stand above the tables already."""


def _heading(analysis: Analysis, reload: int | None) -> list[str]:
    runs = sum(len(cell.runs) for cell in analysis.cells)
    swept = ", ".join(analysis.params.values()) or "nothing but seeds and folds"
    data = f"; data: {data_of(analysis)}" if data_of(analysis) else ""
    facts = f"{runs} finished runs in {len(analysis.cells)} cells; swept: {swept}{data}"
    said = answer(study_answer(analysis))
    parts = [f"<h1>{escape(title_of(analysis))}</h1>{said}<p class='note'>{escape(facts)}</p>"]
    if reload is not None:
        live = f"The study is being watched; this page loads itself anew every {reload} seconds."
        parts.append(f"<p class='live'>{live}</p><script>setTimeout(() => location.reload(), {1000 * reload})</script>")
    missed = [*uncounted_lines(analysis), *unfinished_lines(analysis)]
    lines = "".join(f"<li>{escape(line)}</li>" for line in missed)
    return [*parts, f"<ul class='warnings'>{lines}</ul>"] if lines else parts


def _table(table: ResultTable) -> str:
    notes = (note for note in table.notes if not note.startswith(IN_HEADING))
    return sortable(table) + "".join(f"<p class='note'>{escape(note)}</p>" for note in notes)


def _runs(analysis: Analysis, out: Path) -> str:
    """Every finished run with its numbers, and the way to its own page."""
    rows: list[list[Entry]] = []
    links = []
    for cell in analysis.cells:
        for replicate, run in cell.runs.items():
            values = (run.metrics.get(name) for name in analysis.metrics)
            numbers = [Number(float("nan") if value is None else value) for value in values]
            rows.append([run.folder.name, cell.label, show_replicate(replicate), *numbers])
            page = run.folder / "report.html"
            links.append(quote(os.path.relpath(page, out).replace(os.sep, "/")) if page.exists() else None)
    head = ["run", "cell", "replicate", *map(analysis.words, analysis.metrics)]
    return sortable(ResultTable("Every run", head, rows), links)
