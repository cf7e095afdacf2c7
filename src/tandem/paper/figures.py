"""The figures of a paper, as PDF and PNG."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.paper.curves import curves
from tandem.paper.outcome import Outcome, columns_by_key
from tandem.paper.plan import Drawn, Paper, RowTable, StudyTable
from tandem.paper.rank_diagram import rank_diagram
from tandem.paper.tables import study_analysis
from tandem.paper.verdict import summary_of
from tandem.reports.palette import BLUE, VERMILION
from tandem.study.analysis import Analysis
from tandem.study.cells import Cell
from tandem.study.statistics import Summary
from tandem.study.swept_params import order_of, show_value
from tandem.utils.files import write_whole

Published = Mapping[tuple[int, str], Summary]


def paper_figures(paper: Paper, outcome: Outcome, cells: Mapping[str, Mapping[str, Cell]]) -> dict[str, Figure]:
    """Draws every figure of a paper that has finished runs; keys are the figures' names.

    Args:
        paper: the paper, with its figures.
        outcome: outcome of its jobs.
        cells: rows of each table with named rows, by name of the table.

    Raises:
        ConfigError: a figure names an unknown column, or a hyperparameter that was not swept.
    """
    found: dict[str, Figure] = {}
    for name, drawn in paper.figures.items():
        table = paper.tables[drawn.table]
        where = f"paper.figures.{name}"
        if isinstance(table, RowTable):
            figure = _of_rows(drawn, table, cells[drawn.table], where)
        else:
            figure = _of_study(paper, drawn, table, outcome, where)
        if figure is not None:
            found[name] = figure
    return found


def write_figure(figure: Figure, stem: Path) -> list[Path]:
    """Writes a figure as PDF and PNG. The same figure gives the same bytes.

    Args:
        figure: the figure.
        stem: path without suffix.
    """
    metadata: Mapping[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {"Software": None}}
    files = []
    for ending, entries in metadata.items():
        files.append(stem.with_name(f"{stem.name}.{ending}"))
        write_whole(
            files[-1],
            lambda file, ending=ending, entries=entries: figure.savefig(file, format=ending, dpi=150, metadata=entries),  # type: ignore[misc]
        )
    return files


def points(
    labels: Sequence[str], panels: Mapping[str, Sequence[Cell]], titles: Mapping[str, str], published: Published
) -> Figure:
    """One panel per metric: runs as points, mean with standard deviation, and published means as diamonds.

    Args:
        labels: labels of the rows, from top to bottom.
        panels: the rows' cells, by metric.
        titles: titles of the panels, by metric.
        published: published numbers, by index of the row and metric.
    """
    figure = Figure(figsize=(2.2 + 2.4 * len(panels), 0.9 + 0.34 * len(labels)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for place, (metric, cells) in zip(axes, panels.items(), strict=True):
        for row, cell in enumerate(cells):
            mean = cell.summary(metric)
            values = [value for run in cell.runs.values() if (value := run.metrics.get(metric)) is not None]
            place.plot(values, [row - 0.22] * len(values), ".", color="0.6", markersize=4)
            if mean.n:
                spread = None if math.isnan(mean.std) else mean.std
                place.errorbar(mean.mean, row, xerr=spread, fmt="o", color=BLUE, markersize=4, capsize=2)
            if theirs := published.get((row, metric)):
                place.plot(theirs.mean, row + 0.28, "D", color=VERMILION, markersize=4, clip_on=False)
        place.set_title(titles[metric], fontsize=9)
        place.tick_params(labelsize=8)
        place.locator_params(axis="x", nbins=5)  # more ticks would overlap
        place.grid(alpha=0.25)
        place.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(labels)), labels, fontsize=8)
    axes[0].set_ylim(len(labels) - 0.4, -0.6)
    counts = sorted({n for cells in panels.values() for cell in cells if (n := len(cell.runs))})
    of = f" (n = {counts[0]}{f' to {counts[-1]}' if len(counts) > 1 else ''})" if counts else ""
    note = f"mean ± sample standard deviation over runs{of}, not an interval; grey: each run"
    note += "; diamonds: published mean" if published else ""
    figure.supxlabel(note, size=8)
    return figure


def heat_maps(analysis: Analysis, keys: Sequence[str], metric: str) -> Figure:
    """A heat map over two hyperparameters for each value of the others; each field shows its mean.

    Args:
        analysis: analysis of the study.
        keys: dotted keys of the two hyperparameters, for the vertical and the horizontal axis.
        metric: logged name of the metric.
    """
    params = list(analysis.params)
    places = [params.index(key) for key in keys]
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in analysis.cells:
        other = tuple(value for place, value in enumerate(cell.values) if place not in places)
        groups.setdefault(other, []).append(cell)
    ticks = [sorted({cell.values[place] for cell in analysis.cells}, key=order_of) for place in places]
    means = [found.mean for cell in analysis.cells if (found := cell.summary(metric)).n]
    low, high = (min(means), max(means)) if means else (0.0, 1.0)
    rest = [label for place, label in enumerate(analysis.params.values()) if place not in places]
    figure = Figure(figsize=(0.8 + 2.6 * len(groups), 2.9), layout="constrained")
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    drawn = None
    for place, (other, cells) in zip(axes, groups.items(), strict=True):
        field = [[math.nan] * len(ticks[1]) for _ in ticks[0]]
        for cell in cells:
            row, column = (tick.index(cell.values[index]) for tick, index in zip(ticks, places, strict=True))
            mean = cell.summary(metric).mean
            field[row][column] = mean
            if not math.isnan(mean):
                dark = mean < low + 0.5 * (high - low)
                place.text(
                    column,
                    row,
                    analysis.quantity(metric).text(mean),
                    ha="center",
                    va="center",
                    size=8,
                    color="w" if dark else "k",
                )
        drawn = place.imshow(field, vmin=low, vmax=high, origin="lower", aspect="auto", cmap="viridis")
        place.set_title(", ".join(f"{k}={show_value(v)}" for k, v in zip(rest, other, strict=True)), fontsize=9)
        place.set_xticks(range(len(ticks[1])), list(map(show_value, ticks[1])))
        place.set_xlabel(analysis.params[keys[1]])
    axes[0].set_yticks(range(len(ticks[0])), list(map(show_value, ticks[0])))
    axes[0].set_ylabel(analysis.params[keys[0]])
    if drawn is not None:
        figure.colorbar(drawn, ax=list(axes), label=analysis.words(metric))
    return figure


def _of_rows(drawn: Drawn, table: RowTable, cells: Mapping[str, Cell], where: str) -> Figure | None:
    if not any(cell.runs for cell in cells.values()):
        return None
    names = drawn.columns or list(table.columns)
    for name in names:
        if name not in table.columns:
            raise ConfigError(f"{where}.columns has '{name}': {nearest(name, table.columns)}")
    keys = dict(zip(table.columns, columns_by_key(table), strict=True))
    published = {
        (row, keys[name]): summary_of(table.published.rows[key][name], table.published.n)
        for row, key in enumerate(cells)
        for name in names
        if table.published and name in table.published.rows.get(key, {})
    }
    if drawn.curves:
        return curves(drawn, cells, {keys[name]: table.columns[name].label for name in names})
    rows = list(cells.values())
    titles = {keys[name]: table.columns[name].label for name in names}
    return points([cell.label for cell in rows], {keys[name]: rows for name in names}, titles, published)


def _of_study(paper: Paper, drawn: Drawn, table: StudyTable, outcome: Outcome, where: str) -> Figure | None:
    analysis = study_analysis(paper, table, outcome)
    if analysis is None:
        return None
    metrics = list(drawn.columns or analysis.metrics)
    if drawn.ranks:
        return rank_diagram(analysis, metrics[0])
    if not drawn.heat:
        return points(
            [cell.short for cell in analysis.cells],
            dict.fromkeys(metrics, analysis.cells),
            {name: analysis.words(name) for name in metrics},
            {},
        )
    labels = {label: key for key, label in analysis.params.items()}
    keys = [labels.get(name, name) for name in drawn.heat]
    for name, key in zip(drawn.heat, keys, strict=True):
        if key not in analysis.params:
            raise ConfigError(f"{where}.heat has '{name}', which was not swept: {nearest(name, labels)}")
    if len(keys) != 2:
        raise ConfigError(f"{where}.heat has {len(keys)} hyperparameters, but must have two")
    return heat_maps(analysis, keys, metrics[0])
