"""Which cell of a study is the best: chosen on validation data, with the cells that noise does not tell from it."""

from collections.abc import Sequence

from tandem.metrics.catalogue import Direction
from tandem.study.cells import Cell
from tandem.study.comparison import paired_difference
from tandem.study.statistics import LEVEL, Paired, holm


def monitor_of(cells: Sequence[Cell]) -> str | None:
    """The logged name of the validation metric that chose every run's epoch; None where the runs differ in it."""
    results = [run.results for cell in cells for run in cell.runs.values()]
    found = {(one.get("monitor"), one.get("mode")) for one in results}
    return str(results[0].get("monitor")) if len(found) == 1 else None


def chosen_cell(cells: Sequence[Cell]) -> Cell | None:
    """The cell with the best mean of the runs' monitor on validation data, the first one of equal ones.

    None for fewer than two cells, and where the runs differ in their monitor or do not know it.

    Args:
        cells: of the study.
    """
    name = monitor_of(cells)
    if name is None or len(cells) < 2:
        return None
    mode = next(iter(cells[0].runs.values())).results.get("mode")
    known = [cell for cell in cells if cell.summary(name).n]
    return max(known, key=lambda cell: (-1 if mode == "min" else 1) * cell.summary(name).mean) if known else None


def within_noise(chosen: Cell | None, cells: Sequence[Cell]) -> list[Cell]:
    """The other cells of which the data do not show that they are worse than the chosen one.

    The p value of the paired difference in the monitor, after Holm's correction over the other cells, is not below the
    level, or there are fewer than three pairs. Without the correction one of 19 equal losses would be called worse than
    the best of them in 80 % of studies.

    Args:
        chosen: the best cell; None: there is none.
        cells: of the study.
    """
    found = against_best(chosen, cells)
    corrected = holm([pair.p for _, pair in found])
    return [cell for (cell, _), p in zip(found, corrected, strict=True) if not p < LEVEL]


def against_best(chosen: Cell | None, cells: Sequence[Cell]) -> list[tuple[Cell, Paired]]:
    """Every other cell whose monitor is known, with its paired difference to the chosen one.

    Args:
        chosen: the best cell; None: there is none.
        cells: of the study.
    """
    name = monitor_of(cells)
    if chosen is None or name is None:
        return []
    others = [cell for cell in cells if cell is not chosen and cell.summary(name).n]
    return [(cell, paired_difference(name, cell, chosen)) for cell in others]


def best_cells(name: str, cells: Sequence[Cell], direction: Direction, digits: int = 3) -> list[Cell]:
    """The cells whose mean is the best one as it is printed; none where all look equal, or the direction is unknown.

    Args:
        name: of the metric, as it is logged.
        cells: of the study.
        direction: of the metric.
        digits: that are printed.
    """
    means = {index: round(cell.summary(name).mean, digits) for index, cell in enumerate(cells) if cell.summary(name).n}
    if len(set(means.values())) < 2 or direction is None:
        return []
    best = max(means.values()) if direction == "max" else min(means.values())
    return [cells[index] for index, mean in means.items() if mean == best]
