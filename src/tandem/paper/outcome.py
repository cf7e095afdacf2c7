"""State of a paper's jobs, and the runs behind each row of a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.metrics.catalogue import CATALOGUE, Direction, describe
from tandem.paper.images import combined, reader
from tandem.paper.jobs import PaperJob, chosen
from tandem.paper.measures import Answers, measure, refined
from tandem.paper.plan import Column, Paper, RowTable, TableRow
from tandem.refine import Refinement
from tandem.reports.sweep_table import JobRow as Typed
from tandem.reports.sweep_table import swept
from tandem.study.cells import Cell, show_replicate
from tandem.study.runs import Run, Unfinished, quantities_of, read_study
from tandem.study.swept_params import ABSENT, Replicate, replicate_keys, replicate_of
from tandem.study.tables import FACTS


@dataclass(frozen=True)
class Outcome:
    """The jobs of a paper and their state.

    Attributes:
        jobs: all jobs.
        runs: the finished runs, by place.
        lacking: why a job has no finished run, by place.
    """

    jobs: Sequence[PaperJob]
    runs: Mapping[str, Run]
    lacking: Mapping[str, str]

    def runs_of(self, jobs: Sequence[PaperJob]) -> list[Run]:
        """The finished runs of the given jobs."""
        return [self.runs[job.place] for job in jobs if job.place in self.runs]


def read_outcome(jobs: Sequence[PaperJob], runs: Path) -> Outcome:
    """Reads the state of jobs from their folders.

    Args:
        jobs: jobs of a paper.
        runs: folder of all runs.
    """
    found: dict[str, Run] = {}
    lacking: dict[str, str] = {}
    for job in jobs:
        folder = runs / job.place
        study = read_study([folder]) if folder.is_dir() else None
        own = [run for run in study.runs if run.folder.resolve() == folder.resolve()] if study else []
        if own:
            found[job.place] = own[0]
        else:
            lacking[job.place] = _why(study.unfinished) if study else "not run"
    return Outcome(jobs, found, lacking)


def _why(unfinished: Sequence[Unfinished]) -> str:
    if not unfinished:
        return "not run"
    first = unfinished[0]
    states = {"running": "running, or killed", "finished": "without results"}
    state = states.get(first.state, first.state)
    return f"{state}: {first.reason}" if first.reason else state


def lacking_lines(outcome: Outcome, jobs: Sequence[PaperJob]) -> list[str]:
    """Describes failed and missing runs, one line each, with the overrides that differ between the runs.

    Args:
        outcome: outcome of all jobs.
        jobs: the jobs to describe.
    """
    typed = swept([Typed(job.overrides, {}) for job in outcome.jobs])
    places = {job.place: place for place, job in enumerate(outcome.jobs)}
    lines = []
    for job in jobs:
        if job.place in outcome.lacking:
            words = [f"{key}={values[places[job.place]]}" for key, values in typed.items()]
            own = " ".join(word for word in words if not word.endswith(f"={ABSENT}"))
            lines.append(f"{job.place}{f' ({own})' if own else ''}: {outcome.lacking[job.place]}")
    return lines


def jobs_of(table: RowTable, name: str, jobs: Sequence[PaperJob]) -> dict[str, list[PaperJob]]:
    """The jobs of each row, by name of the row, including the jobs of `classes_from`.

    Args:
        table: the table, with its rows.
        name: name of the table.
        jobs: jobs of the paper.
    """
    found = {}
    for key, row in table.rows.items():
        where = f"paper.tables.{name}.rows.{key}"
        own = chosen(jobs, row.runs, f"{where}.runs")
        others = chosen(jobs, row.classes_from, f"{where}.classes_from") if row.classes_from else []
        found[key] = list(dict.fromkeys([*own, *others]))
    return found


def columns_by_key(table: RowTable) -> dict[str, Column]:
    """The columns by the names of their metrics in the cells of `row_cells`."""
    return {
        f"test/{name}/{(column.metric or column.measure or '').rpartition('/')[2]}": column
        for name, column in table.columns.items()
    }


def direction_of(column: Column, cells: Iterable[Cell]) -> Direction:
    """Direction of a column's metric, from its runs or the catalogue; None if it is unknown."""
    if column.measure is not None:
        return CATALOGUE[column.measure].direction
    assert column.metric is not None
    stored = quantities_of(run for cell in cells for run in cell.runs.values())
    return describe(column.metric, stored).direction


def row_cells(paper: Paper, name: str, outcome: Outcome) -> dict[str, Cell]:
    """The rows of a table as cells; the metrics of their runs are the values of the columns.

    Args:
        paper: the paper, with its tables.
        name: name of a table with named rows.
        outcome: outcome of the jobs; runs whose rows per image are needed must be evaluated already.

    Raises:
        ConfigError: the runs of a row differ in more than seed and fold, or a metric is unknown.
        DataError: rows per image are missing or do not match.
    """
    table = paper.tables[name]
    assert isinstance(table, RowTable)
    columns = columns_by_key(table)
    _check_metrics(columns, outcome, name)
    cells = {}
    for key, row in table.rows.items():
        where = f"paper.tables.{name}.rows.{key}"
        own = _replicates(outcome.runs_of(chosen(outcome.jobs, row.runs, where)), where)
        others: Mapping[Replicate, Run] = {}
        if row.classes_from:
            others = _replicates(outcome.runs_of(chosen(outcome.jobs, row.classes_from, where)), where)
        refine = paper.refinement(row)
        cells[key] = Cell(
            (row.label,),
            row.label,
            {
                replicate: replace(run, metrics=_values(run, others.get(replicate), row, columns, refine, where))
                for replicate, run in own.items()
                if not row.classes_from or replicate in others
            },
        )
    return cells


def _check_metrics(columns: Mapping[str, Column], outcome: Outcome, name: str) -> None:
    known = {key for run in outcome.runs.values() for key in (*run.metrics, *FACTS)}
    for column in columns.values():
        if known and column.metric is not None and column.metric not in known:
            raise ConfigError(f"paper.tables.{name}: no run has the metric '{column.metric}': "
                              f"{nearest(column.metric, known)}")  # fmt: skip


def _replicates(runs: Sequence[Run], where: str) -> dict[Replicate, Run]:
    """Runs by seed and fold."""
    keys = replicate_keys(runs)
    found: dict[Replicate, Run] = {}
    for run in runs:
        replicate = replicate_of(run, keys)
        if replicate in found:
            raise ConfigError(
                f"{where}: two runs have {show_replicate(replicate)} ({found[replicate].folder.name} and "
                f"{run.folder.name}), so they differ in more than seed and fold; add a key that separates them"
            )
        found[replicate] = run
    return found


def _values(
    run: Run,
    other: Run | None,
    row: TableRow,
    columns: Mapping[str, Column],
    refine: Refinement | None,
    where: str,
) -> dict[str, float | None]:
    """The value of every column for one run."""
    views: dict[object, Answers] = {}
    found: dict[str, float | None] = {}
    for key, column in columns.items():
        if column.metric is not None:
            found[key] = None if row.refine or row.flips or row.classes_from else _logged(run, column.metric)
            continue
        view = (column.at, column.tempered)
        if view not in views:
            answers = combined(reader(column.at, "test", column.tempered, row.flips), run, other, where)
            if refine is not None:
                known = reader(column.at, "val", column.tempered, row.flips)
                answers = refined(answers, refine, combined(known, run, other, where) if refine.fitted else None)
            views[view] = answers
        assert column.measure is not None
        found[key] = measure(column.measure, views[view], column.of)
    return found


def _logged(run: Run, name: str) -> float | None:
    """A logged value of a run, or a fact about it, such as its seconds."""
    found = run.results.get(name) if name in FACTS else run.metrics.get(name)
    return None if found is None else float(found)
