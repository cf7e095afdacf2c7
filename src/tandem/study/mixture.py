"""Whether the runs of a study's cells belong together, and whether its cells do."""

import logging
from collections.abc import Iterable

from tandem.runs.mixture import mixtures, refuse_mixtures
from tandem.study.cells import Cell
from tandem.study.runs import Run

log = logging.getLogger(__name__)


def check_cells(cells: Iterable[Cell], mixed: bool, allow: str = "--mixed") -> None:
    """Refuses cells that average runs of other data, versions, devices or precisions; warns of cells that compare them.

    Args:
        cells: of a study or table.
        mixed: whether the user allows it.
        allow: how they do.

    Raises:
        ConfigError: a cell mixes runs, and that is not allowed.
    """
    found = list(cells)
    for cell in found:
        runs = [(run.folder, run.results) for run in cell.runs.values()]
        for line in refuse_mixtures(runs, f"the cell '{cell.label}'", "" if mixed else allow):
            log.warning("the cell '%s' averages %s", cell.label, line)
    every: list[Run] = [run for cell in found for run in cell.runs.values()]
    for line in () if mixed else mixtures((run.folder, run.results) for run in every):
        log.warning("the table compares %s", line)
