"""The tables of a study: what was swept and what came of it, comparisons, delta-m, every run."""

import math
from collections.abc import Iterator
from typing import Any

from tandem.reports.sweep_table import JobRow, swept
from tandem.study.analysis import Analysis
from tandem.study.classes import class_table, number_of
from tandem.study.statistics import Summary
from tandem.study.swept_params import ABSENT, show_value
from tandem.study.table import Entry, Number, ResultTable


def all_tables(analysis: Analysis) -> dict[str, ResultTable]:
    """Every table by the name of its files: `table`, and where there are such, `classes`, `comparison`, `delta_m`."""
    found = {"table": main_table(analysis)}
    if by_class := class_table(analysis):
        found["classes"] = by_class
    if analysis.baseline:
        found["comparison"] = comparison_table(analysis)
    if analysis.deltas:
        found["delta_m"] = delta_table(analysis)
    return found


def main_table(analysis: Analysis) -> ResultTable:
    """A row a cell: the knobs, n, and mean ± std of each metric."""
    best = {name: analysis.best(name) for name in analysis.metrics}
    rows: list[list[Entry]] = []
    for cell in analysis.cells:
        mark = " †" if cell is analysis.chosen else ""
        knobs = [show_value(value) for value in cell.values] or [cell.label]
        knobs[0] += mark
        numbers = [
            number_of(cell, name, cell in best[name], analysis.quantity(name).digits) for name in analysis.metrics
        ]
        rows.append([*knobs, len(cell.runs), *numbers])
    head = [*(analysis.knobs.values() or ["cell"]), "n", *map(analysis.words, analysis.metrics)]
    names = [*(analysis.knobs or ["cell"]), "n", *analysis.metrics]
    return ResultTable(title_of(analysis), head, rows, list(_notes(analysis)), names)


def comparison_table(analysis: Analysis) -> ResultTable:
    """A row for each metric and cell: the paired difference to the baseline, and what it is worth."""
    assert analysis.baseline is not None
    rows: list[list[Entry]] = []
    for name, comparisons in analysis.comparisons.items():
        for one in comparisons:
            pair = one.paired
            numbers = [Number(value) for value in (pair.difference, pair.low, pair.high, pair.p, one.holm)]
            rows.append([analysis.words(name), one.cell.label, pair.n, *numbers, one.verdict])
    head = ["metric", "cell", "pairs", "difference", "95 % from", "to", "p (Wilcoxon)", "p (Holm)", "verdict"]
    notes = [
        "Difference: cell minus baseline, mean over pairs with the same seed and fold; interval: bootstrap over pairs. "
        "Holm's correction is over the cells of one metric; fewer pairs than it needs can show nothing. Folds share "
        "training data, so that p is too small there.",
    ]
    return ResultTable(f"Against the baseline {analysis.baseline.label}", head, rows, notes)


def delta_table(analysis: Analysis) -> ResultTable:
    """A row for each multi-task cell: every task's gain over single-task runs in percent, and delta-m."""
    tasks = list(dict.fromkeys(task for delta in analysis.deltas for task in delta.tasks))
    empty = Summary(math.nan, math.nan, 0)
    rows: list[list[Entry]] = []
    for delta in analysis.deltas:
        found = [*(delta.tasks.get(task, empty) for task in tasks), delta.delta_m]
        numbers = [Number(one.mean, one.std, one.n, digits=1) for one in found]
        rows.append([delta.cell.label, *numbers, delta.delta_m.n, delta.note])
    head = ["multi-task cell", *(f"{task} (%)" for task in tasks), "delta-m (%)", "n", "note"]
    by = ", ".join(analysis.words(name) for task, name in analysis.headlines.items() if task in tasks)
    notes = [
        "Relative gain over the single-task run with the same data, split, seed and budget, above 0 where multi-task "
        f"is better; by {by}. Delta-m is the mean over the tasks (Vandenhende et al., 2021).",
    ]
    return ResultTable("Multi-task against single-task", head, rows, notes)


def run_records(analysis: Analysis) -> list[dict[str, Any]]:
    """A record a run for `runs.csv`: knobs, seed and fold, state, every metric; those without results come last."""
    records: list[dict[str, Any]] = []
    for cell in analysis.cells:
        knobs = dict(zip(analysis.knobs, map(show_value, cell.values), strict=True))
        for replicate, run in cell.runs.items():
            where = {"folder": str(run.folder), "state": "finished", "reason": ""}
            told = {key: run.results.get(key) for key in ("hash", "best_epoch", "epochs", "seconds")}
            records.append({**where, **knobs, **dict(replicate), **told, **run.metrics})
    for other in analysis.study.unfinished:
        typed = " ".join(other.overrides)
        said = f"{other.reason} ({typed})" if typed else other.reason
        records.append({"folder": str(other.folder), "state": other.state, "reason": said.strip()})
    return records


def title_of(analysis: Analysis) -> str:
    """How the study is called: by its folders' names."""
    return "Study " + ", ".join(folder.resolve().name for folder in analysis.study.folders)


def data_of(analysis: Analysis) -> str:
    """What the runs were trained on, by name, which tells stand-ins and weak masks from real ones."""
    known = (run.results.get("data") for cell in analysis.cells for run in cell.runs.values())
    names = dict.fromkeys(str(data["name"]) for data in known if isinstance(data, dict) and "name" in data)
    return ", ".join(names)


def unfinished_lines(analysis: Analysis) -> list[str]:
    """Failed, running and missing runs, a line each; of what was typed, that which was not typed for every run."""
    study = analysis.study
    everyone = [run.overrides for run in study.unfinished] + [run.overrides for run in study.runs]
    typed = swept([JobRow(overrides, {}) for overrides in everyone])
    lines = []
    for place, run in enumerate(study.unfinished):
        state = "running, or killed" if run.state == "running" else run.state
        own = " ".join(f"{key}={values[place]}" for key, values in typed.items() if values[place] != ABSENT)
        lines.append(
            f"{state}: {run.folder.name}" + (f" ({own})" if own else "") + (f": {run.reason}" if run.reason else "")
        )
    return lines + [f"missing: {said}" for said in analysis.missing]


def _notes(analysis: Analysis) -> Iterator[str]:
    yield (
        "Numbers are of test data, but for those marked val. Mean ± sample standard deviation over seeds and folds "
        "(n runs; fewer where a number is unknown). Bold: best mean of its column."
    )
    if data := data_of(analysis):
        yield f"Data: {data}."
    if analysis.chosen:
        monitor = next(iter(analysis.chosen.runs.values())).results["monitor"]
        yield f"† chosen on validation data: the best mean of {monitor}."
    yield from unfinished_lines(analysis)
