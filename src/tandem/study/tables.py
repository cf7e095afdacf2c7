"""The tables of a study: cells with their metrics, comparisons, delta-m, every run."""

import math
from collections.abc import Iterator
from typing import Any

from tandem.reports.sweep_table import JobRow, swept
from tandem.study.analysis import Analysis
from tandem.study.cells import Cell
from tandem.study.choice import monitor_of
from tandem.study.classes import class_table, number_of
from tandem.study.statistics import LEAST, Summary, summarise
from tandem.study.swept_params import ABSENT, show_value
from tandem.study.table import Entry, Number, ResultTable


def all_tables(analysis: Analysis) -> dict[str, ResultTable]:
    """Every table by the name of its files: `table`, and where they apply `classes`, `comparison`, `delta_m`."""
    found = {"table": main_table(analysis)}
    if by_class := class_table(analysis):
        found["classes"] = by_class
    if analysis.baseline:
        found["comparison"] = comparison_table(analysis)
    if analysis.deltas:
        found["delta_m"] = delta_table(analysis)
    return found


def main_table(analysis: Analysis) -> ResultTable:
    """A row for each cell: the hyperparameters, n, and mean ± std of each metric with its interval."""
    best = {name: analysis.best(name) for name in analysis.metrics}
    rows: list[list[Entry]] = []
    for cell in analysis.cells:
        mark = " †" if cell is analysis.chosen else " ≈" if cell in analysis.noise else ""
        params = [show_value(value) for value in cell.values] or [cell.label]
        params[0] += mark
        numbers = [
            number_of(cell, name, cell in best[name], analysis.quantity(name).digits) for name in analysis.metrics
        ]
        rows.append([*params, len(cell.runs), *numbers, *(_fact(cell, key) for key in FACTS)])
    head = [*(analysis.params.values() or ["cell"]), "n", *map(analysis.words, analysis.metrics), *FACTS.values()]
    names = [*(analysis.params or ["cell"]), "n", *analysis.metrics, *FACTS]
    return ResultTable(title_of(analysis), head, rows, list(_notes(analysis)), names)


FACTS = {"seconds": "training time (s)", "parameters": "parameters"}
"""What a run costs: heads of columns of the main table, by their keys in `results.json`."""


def _fact(cell: Cell, key: str) -> Number:
    """The mean of a number that `results.json` holds, over the runs of a cell that know it."""
    values = [run.results.get(key) for run in cell.runs.values()]
    return Number(summarise(float(value) for value in values if isinstance(value, int | float)).mean, digits=0)


def comparison_table(analysis: Analysis) -> ResultTable:
    """A row for each metric and cell: the paired difference to the baseline, its interval, its test, and a verdict."""
    assert analysis.baseline is not None
    rows: list[list[Entry]] = []
    for name, comparisons in analysis.comparisons.items():
        for one in comparisons:
            pair = one.paired
            numbers = [Number(value) for value in (pair.difference, pair.low, pair.high, pair.p, one.holm)]
            rows.append([analysis.words(name), one.cell.label, one.pairs, *numbers, one.verdict])
    head = ["metric", "cell", "pairs", "difference", "95 % from", "to", "p (t)", "p (Holm)", "verdict"]
    notes = [
        "Difference: cell minus baseline, mean over pairs with the same seed and fold; 95 % interval and p: paired t, "
        "none below 3 pairs. Across folds, whose training images overlap, seeds are averaged first and the t is the "
        "corrected resampled one (Nadeau and Bengio, 2003). Holm's correction is over the cells of one metric.",
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
        ends = [Number(end, digits=1) for end in (delta.interval.low, delta.interval.high)]
        rows.append([delta.cell.label, *numbers, *ends, delta.delta_m.n, delta.note])
    head = ["multi-task cell", *(f"{task} (%)" for task in tasks), "delta-m (%)", "95 % from", "to", "n", "note"]
    by = ", ".join(analysis.words(name) for task, name in analysis.headlines.items() if task in tasks)
    notes = [
        "Relative gain over the single-task run with the same data, split, seed and budget, above 0 where multi-task "
        f"is better; by {by}. Delta-m is the mean over the tasks (Vandenhende et al., 2021), its interval a paired t "
        "interval, as in comparisons with a baseline, and there is none below 3 pairs.",
    ]
    return ResultTable("Multi-task against single-task", head, rows, notes)


def run_records(analysis: Analysis) -> list[dict[str, Any]]:
    """One record per run in `runs.csv`: hyperparameters, seed, fold, state, all metrics; unfinished runs come last."""
    records: list[dict[str, Any]] = []
    for cell in analysis.cells:
        params = dict(zip(analysis.params, map(show_value, cell.values), strict=True))
        for replicate, run in cell.runs.items():
            where = {"folder": str(run.folder), "state": "finished", "reason": ""}
            told = {key: run.results.get(key) for key in ("hash", "best_epoch", "epochs", "seconds")}
            records.append({**where, **params, **dict(replicate), **told, **run.metrics})
    for other in analysis.study.unfinished:
        typed = " ".join(other.overrides)
        said = f"{other.reason} ({typed})" if typed else other.reason
        records.append({"folder": str(other.folder), "state": other.state, "reason": said.strip()})
    return records


def title_of(analysis: Analysis) -> str:
    """The title of the study, from its folders' names."""
    return "Study " + ", ".join(folder.resolve().name for folder in analysis.study.folders)


def data_of(analysis: Analysis) -> str:
    """Names of the data that the runs were trained on; they show stand-ins and weak masks."""
    known = (run.results.get("data") for cell in analysis.cells for run in cell.runs.values())
    names = dict.fromkeys(str(data["name"]) for data in known if isinstance(data, dict) and "name" in data)
    return ", ".join(names)


def unfinished_lines(analysis: Analysis) -> list[str]:
    """A line for each failed, running or missing run, with the overrides that are not common to all runs."""
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


def uncounted_lines(analysis: Analysis) -> list[str]:
    """A line for each finished run that does not count: copies, and runs of the same settings, seed and fold."""
    return [f"copy: {line}" for line in analysis.study.copies] + [f"not counted: {line}" for line in analysis.uncounted]


def choice_lines(analysis: Analysis) -> list[str]:
    """How the best cell was chosen, and how sure the choice is."""
    if len(analysis.cells) < 2:
        return []
    lines = []
    most = max(len(cell.runs) for cell in analysis.cells)
    if analysis.chosen:
        lines.append(
            f"† and bold: chosen on validation data, by the best mean of {monitor_of(analysis.cells)}. "
            "Test numbers play no part in the choice; report those of this row."
        )
    else:
        lines.append(
            "Bold: best mean of its column. No cell is chosen on validation data: monitors differ or are unknown."
        )
    if most < LEAST:
        return [*lines, f"n = {most}: differences cannot be judged (≈); train more seeds."]
    if analysis.noise:
        lines.append(
            f"≈ within noise of the best, {len(analysis.noise)} of {len(analysis.cells) - 1}: by the paired t test in "
            f"{monitor_of(analysis.cells)} with Holm's correction, or because there are fewer than 3 pairs."
        )
    return lines


def _notes(analysis: Analysis) -> Iterator[str]:
    yield (
        "Validation data (val) first, then test data. Mean ± sample standard deviation over seeds and folds (n runs; "
        "fewer where a number is unknown)."
    )
    yield (
        "[low, high]: 95 % t interval of the mean over seeds; across folds, whose training images overlap, corrected "
        "(Nadeau and Bengio, 2003)."
    )
    if short := sorted({n for cell in analysis.cells if (n := len(cell.runs)) < LEAST}):
        yield f"{', '.join(f'n = {n}: no interval' for n in short)}; it needs at least {LEAST} runs."
    if data := data_of(analysis):
        yield f"Data: {data}."
    yield from choice_lines(analysis)
    yield from uncounted_lines(analysis)
    yield from unfinished_lines(analysis)
