"""The results of a study: everything that its tables and its page show."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.metrics.catalogue import Quantity, describe
from tandem.reports.table import headline
from tandem.study.cells import Cell, cells_of, missing_of, telling
from tandem.study.choice import best_cells, chosen_cell, within_noise
from tandem.study.choice_names import named
from tandem.study.comparison import Comparison, compare, find_baseline
from tandem.study.delta import Delta, deltas_of
from tandem.study.runs import Study, quantities_of
from tandem.study.swept_params import (
    ABSENT,
    param_labels,
    replicate_keys,
    replicate_of,
    settings_of,
    swept_params,
)

SHOWN = ("dice", "dice_lesion", "specificity_empty", "balanced_accuracy", "f1_macro", "auroc", "f1")
"""Test metrics in the table where a task has them; a task without any shows its headline."""


@dataclass(frozen=True)
class Analysis:
    """The results of a study.

    Attributes:
        study: its runs.
        params: labels of the swept hyperparameters, by key.
        cells: choices of the hyperparameters.
        metrics: logged names of what is shown.
        quantities: of the runs, by `<task>/<metric>`.
        headlines: for each task the logged name of its main test metric.
        missing: runs that a complete study would also have, in words.
        chosen: the cell with the best mean of the runs' own monitor, on validation data; None where they differ in it.
        noise: the other cells that are not shown to be worse than the chosen one.
        baseline: that the others are compared with, or None.
        comparisons: by metric.
        deltas: of multi-task against single-task runs.
    """

    study: Study
    params: Mapping[str, str]
    cells: Sequence[Cell]
    metrics: Sequence[str]
    quantities: Mapping[str, Quantity]
    headlines: Mapping[str, str]
    missing: Sequence[str]
    chosen: Cell | None
    noise: Sequence[Cell]
    baseline: Cell | None
    comparisons: Mapping[str, Sequence[Comparison]]
    deltas: Sequence[Delta]

    def quantity(self, name: str) -> Quantity:
        """What a metric is, by its logged name."""
        return describe(name, self.quantities)

    def best(self, name: str) -> list[Cell]:
        """The cells in bold: the chosen one; if none is chosen, those with the best mean of the metric, as printed."""
        if self.chosen is not None:
            return [self.chosen]
        one = self.quantity(name)
        return best_cells(name, self.cells, one.direction, one.digits)

    @cached_property
    def uncounted(self) -> list[str]:
        """A line for each finished run that no cell counts, since another has the same settings, seed and fold."""
        counted = {id(run): run for cell in self.cells for run in cell.runs.values()}
        places = {(cell.values, replicate): run for cell in self.cells for replicate, run in cell.runs.items()}
        keys = replicate_keys(self.study.runs)
        lines = []
        for run in self.study.runs:
            if id(run) not in counted:
                settings = settings_of(run)
                values = tuple(settings.get(key, ABSENT) for key in self.params)
                other = places[values, replicate_of(run, keys)]
                lines.append(f"{run.folder} has the settings, seed and fold of {other.folder}: only that one counts")
        return lines

    def words(self, name: str) -> str:
        """Task and label of a metric."""
        return metric_words(name, self.quantities)


def analyse(study: Study, baseline: Sequence[str] = (), metrics: Sequence[str] = ()) -> Analysis:
    """Analyses a study.

    Args:
        study: that was read.
        baseline: `key=value` words that name a cell; none: nothing is compared.
        metrics: logged names to show; none: those of `default_metrics`.

    Raises:
        ConfigError: no finished run, an unknown metric, a baseline that names no cell.
    """
    if not study.runs:
        raise ConfigError(_nothing(study))
    study = replace(study, runs=tuple(named(study.runs)))
    params = param_labels(swept_params(study.runs), study.runs)
    cells = cells_of(study.runs, params)
    known = dict.fromkeys(name for run in study.runs for name in run.metrics)
    for name in metrics:
        if name not in known:
            raise ConfigError(f"no run has the metric '{name}': {nearest(name, known)}")
    tasks, stored = _tasks(study), quantities_of(study.runs)
    shown = list(metrics) or default_metrics(known, tasks, stored)
    against = find_baseline(baseline, cells, params) if baseline else None
    chosen = chosen_cell(cells)
    return Analysis(
        study=study,
        params=params,
        cells=cells,
        metrics=shown,
        quantities=stored,
        headlines=_headlines(known, tasks, stored),
        missing=missing_of(cells, params, study.trials),
        chosen=chosen,
        noise=within_noise(chosen, cells),
        baseline=against,
        comparisons={name: compare(name, against, cells, describe(name, stored).direction) for name in shown}
        if against
        else {},
        deltas=deltas_of(cells),
    )


def focused(analysis: Analysis) -> Analysis:
    """Drops hyperparameters that vary together with an earlier one, so that no chart shows the same twice.

    Args:
        analysis: of a study.
    """
    places = telling([cell.values for cell in analysis.cells])

    def focus(cell: Cell) -> Cell:
        return replace(cell, values=tuple(cell.values[place] for place in places))

    return replace(
        analysis,
        params={key: label for place, (key, label) in enumerate(analysis.params.items()) if place in places},
        cells=[focus(cell) for cell in analysis.cells],
        chosen=analysis.chosen and focus(analysis.chosen),
        noise=[focus(cell) for cell in analysis.noise],
        baseline=analysis.baseline and focus(analysis.baseline),
        comparisons={
            name: [replace(one, cell=focus(one.cell)) for one in found] for name, found in analysis.comparisons.items()
        },
    )


def default_metrics(known: Iterable[str], tasks: Iterable[str], stored: Mapping[str, Quantity]) -> list[str]:
    """Logged names of the metrics that a table shows: of each task the main one on validation data, then those on test.

    Args:
        known: every logged name.
        tasks: names of the tasks.
        stored: quantities of the runs.

    Example:
        >>> default_metrics(["val/lesion/dice", "test/lesion/dice", "test/age/mae"], ["lesion"], {})
        ['val/lesion/dice', 'test/lesion/dice']
    """
    headlines = _headlines(known, tasks, stored)
    shown = [name for name in map(on_validation, headlines.values()) if name in known]
    for task, best in headlines.items():
        found = [f"test/{task}/{name}" for name in SHOWN if f"test/{task}/{name}" in known]
        shown += found or [best]
    return shown


def on_validation(name: str) -> str:
    """The logged name of a test metric on validation data."""
    return f"val/{name.removeprefix('test/')}"


def metric_words(name: str, stored: Mapping[str, Quantity] | None = None) -> str:
    """Task and label of a metric.

    Args:
        name: as it is logged.
        stored: quantities of the runs.

    Example:
        >>> metric_words("test/segmentation/dice"), metric_words("val/segmentation/dice"), metric_words("val/loss")
        ('segmentation: Dice (official)', 'val segmentation: Dice (official)', 'val loss')
    """
    stage, _, rest = name.partition("/")
    task, _, metric = rest.partition("/")
    words = f"{task}: {describe(name, stored).label}" if metric else rest
    return words if stage == "test" else f"{stage} {words}"


def _tasks(study: Study) -> list[str]:
    """Names of the tasks; that of the monitored metric comes first."""
    tasks = dict.fromkeys(task for run in study.runs for task in run.tasks)
    monitored = str(study.runs[0].results.get("monitor")).split("/")
    return sorted(tasks, key=lambda task: task not in monitored)


def _headlines(known: Iterable[str], tasks: Iterable[str], stored: Mapping[str, Quantity]) -> dict[str, str]:
    test = {name: None for name in known if name.startswith("test/")}
    found = {task: headline(test, task, stored) for task in tasks}
    return {task: f"test/{task}/{name}" for task, name in found.items() if name}


def _nothing(study: Study) -> str:
    where = ", ".join(map(str, study.folders))
    if not study.unfinished:
        return f"no run lies below {where}; give the folder of a study, such as runs/focal_grid"
    first = study.unfinished[0]
    said = f"{first.folder} is {first.state}" + (f": {first.reason}" if first.reason else "")
    return f"no run below {where} has results that can be read ({len(study.unfinished)} have none; {said})"
