"""The tables of a paper: our numbers, published numbers, comparisons, and a verdict for each published number."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tandem.paper.outcome import Outcome, columns_by_key, direction_of, jobs_of, lacking_lines, row_cells
from tandem.paper.plan import NATIVE, STORED, Paper, RowTable, StudyTable
from tandem.paper.verdict import Verdict, judge, summary_of
from tandem.study.analysis import Analysis, analyse, metric_words
from tandem.study.cells import Cell
from tandem.study.choice import best_cells
from tandem.study.comparison import compare
from tandem.study.runs import Study
from tandem.study.table import Entry, Number, ResultTable
from tandem.study.tables import comparison_table, delta_table, main_table
from tandem.study.units import units_of


def budget_line(paper: Paper, budget: str) -> str:
    """The line below every table that describes the budget."""
    return f"Budget '{budget}': {paper.budgets[budget].about}."


def study_analysis(paper: Paper, table: StudyTable, outcome: Outcome) -> Analysis | None:
    """Analyses a study of the paper; None if none of its runs is finished.

    Args:
        paper: the paper, with its studies.
        table: the table of the study.
        outcome: outcome of the jobs.
    """
    runs = outcome.runs_of([job for job in outcome.jobs if job.study in table.studies])
    if not runs:
        return None
    return analyse(Study((Path(table.study),), tuple(runs), ()), table.baseline, table.metrics)


def study_tables(paper: Paper, name: str, table: StudyTable, outcome: Outcome, budget: str) -> dict[str, ResultTable]:
    """Builds a table with one row per combination of swept values, its comparison with a baseline, and delta-m.

    Args:
        paper: the paper, with its studies.
        name: name of the table.
        table: the table.
        outcome: outcome of the jobs.
        budget: name of the budget.
    """
    lines = lacking_lines(outcome, [job for job in outcome.jobs if job.study in table.studies])
    analysis = study_analysis(paper, table, outcome)
    if analysis is None:
        return {name: ResultTable(table.title, ["study"], [[table.study]], [budget_line(paper, budget), *lines])}
    main = main_table(analysis)
    notes = [budget_line(paper, budget), *main.notes, *([table.note] if table.note else []), *lines]
    found = {name: replace(main, title=table.title, notes=notes)}
    if analysis.baseline:
        found[f"{name}_comparison"] = _with_budget(comparison_table(analysis), paper, budget)
    if analysis.deltas:
        found[f"{name}_delta_m"] = _with_budget(delta_table(analysis), paper, budget)
    return found


def row_tables(
    paper: Paper, name: str, table: RowTable, outcome: Outcome, budget: str
) -> tuple[dict[str, ResultTable], list[Verdict], dict[str, Cell]]:
    """Builds a table of named rows with published numbers below each row, comparisons with the baseline, and verdicts.

    Args:
        paper: the paper, with its tables.
        name: name of the table.
        table: the table.
        outcome: outcome of the jobs.
        budget: name of the budget.

    Returns:
        Tables by name, verdicts, and the rows as cells.
    """
    cells = row_cells(paper, name, outcome)
    columns = columns_by_key(table)
    expected = jobs_of(table, name, outcome.jobs)
    several = list(cells.values())
    best = {
        key: best_cells(key, several, direction_of(column, several), column.digits) for key, column in columns.items()
    }
    rows: list[list[Entry]] = []
    for row_name, cell in cells.items():
        numbers: list[Entry] = []
        for key, column in columns.items():
            found = cell.summary(key)
            bold = any(cell is one for one in best[key])
            numbers.append(
                Number(found.mean, found.std, found.n, len(cell.runs), bold, column.digits, cell.detail(key))
            )
        rows.append([cell.label, len(cell.runs), *numbers])
        rows += _published_rows(table, row_name)
    jobs = list(dict.fromkeys(job for some in expected.values() for job in some))
    notes = [budget_line(paper, budget), *_notes(paper, table), *lacking_lines(outcome, jobs)]
    head = ["row", "n", *(column.label for column in table.columns.values())]
    tables = {name: ResultTable(table.title, head, rows, notes, ["row", "n", *table.columns])}
    if table.baseline is not None and cells[table.baseline].runs:
        compared = _comparison(table, cells, cells[table.baseline])
        tables[f"{name}_comparison"] = _with_budget(compared, paper, budget)
    return tables, list(_verdicts(table, name, cells)), cells


def verdict_table(paper: Paper, budget: str, verdicts: Sequence[Verdict]) -> ResultTable:
    """Builds a table with one row per published number: our number, the interval, and whether it was reproduced."""
    rows: list[list[Entry]] = []
    for one in verdicts:
        ours = Number(one.ours.mean, one.ours.std, one.ours.n)
        published = Number(one.published.mean, one.published.std, one.published.n)
        rows.append([one.table, one.row, one.column, ours, published, *map(Number, one.interval), one.rule, one.words])
    counts = {words: sum(one.words == words for one in verdicts) for words in dict.fromkeys(v.words for v in verdicts)}
    notes = [
        budget_line(paper, budget),
        "; ".join(f"{number} {words}" for words, number in counts.items()) + ".",
        "The interval is that of ours minus published: 'Welch' where both are means of at least three runs "
        "(95 %, deviations of both), '2 std' where ours must lie within two published deviations. Of few runs it is "
        "wide: 'reproduced' means that no difference was shown.",
    ]
    head = ["table", "row", "column", "ours", "published", "difference from", "to", "rule", "verdict"]
    return ResultTable(f"{paper.title}: published numbers", head, rows, notes)


def _published_rows(table: RowTable, name: str) -> list[list[Entry]]:
    if table.published is None or name not in table.published.rows:
        return []
    published = table.published.rows[name]
    label = (table.published.labels or {}).get(name)
    summaries = {key: summary_of(number, table.published.n) for key, number in published.items()}
    numbers: list[Entry] = [
        Number(summaries[key].mean, summaries[key].std, summaries[key].n, digits=column.digits)
        if key in summaries
        else Number(math.nan, n=0, digits=column.digits)
        for key, column in table.columns.items()
    ]
    return [[f"published{f' as {label}' if label else ''}", table.published.n or "", *numbers]]


def _notes(paper: Paper, table: RowTable) -> Iterable[str]:
    yield (
        "Numbers are of test data. Mean ± sample standard deviation over seeds and folds (n runs; fewer where a number "
        "is unknown). Bold: best mean of its column."
    )
    if table.published:
        yield f"Published numbers: {table.published.source}."
    if any(column.at == STORED and column.measure for column in table.columns.values()):
        yield "Masks at the threshold that was chosen on validation data, but where a column says 0.5."
    if any(column.at == NATIVE for column in table.columns.values()):
        yield "At the size of the files: predicted masks are enlarged to the files' own masks, and compared there."
    rules: dict[str, list[str]] = {}
    for row in table.rows.values():
        if (rule := paper.refinement(row)) is not None:
            rules.setdefault(rule.words, []).append(row.label)
    for words, labels in rules.items():
        yield f"Refined ({words}): {'; '.join(labels)}."
    if flipped := [row.label for row in table.rows.values() if row.flips]:
        yield f"Probabilities averaged over each image and its three mirrored copies: {'; '.join(flipped)}."
    if table.note:
        yield table.note


def _comparison(table: RowTable, cells: Mapping[str, Cell], baseline: Cell) -> ResultTable:
    columns = columns_by_key(table)
    words = {metric_words(key): column.label for key, column in columns.items()}
    several = list(cells.values())
    comparisons = {
        key: compare(key, baseline, several, direction_of(column, several)) for key, column in columns.items()
    }
    analysis = Analysis(
        study=Study((), (), ()), params={}, cells=list(cells.values()), metrics=list(columns), quantities={},
        headlines={}, missing=[], chosen=None, noise=[], baseline=baseline, comparisons=comparisons, deltas=[],
    )  # fmt: skip
    found = comparison_table(analysis)
    return replace(found, rows=[[words[str(row[0])], *row[1:]] for row in found.rows])


def _verdicts(table: RowTable, name: str, cells: Mapping[str, Cell]) -> Iterable[Verdict]:
    if table.published is None:
        return
    keys = dict(zip(table.columns, columns_by_key(table), strict=True))
    for row, published in table.published.rows.items():
        for column, number in published.items():
            cell, key = cells[row], keys[column]
            overlap = units_of(cell.known(key), cell.runs).overlap
            label = table.columns[column].label
            yield judge(name, cell.label, label, cell.summary(key), summary_of(number, table.published.n), overlap)


def _with_budget(table: ResultTable, paper: Paper, budget: str) -> ResultTable:
    return replace(table, notes=[budget_line(paper, budget), *table.notes])
