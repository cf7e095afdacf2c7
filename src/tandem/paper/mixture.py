"""The finished runs of a paper: trained on the data of today, and fit to be averaged in one row."""

import logging
from collections.abc import Mapping
from typing import Any

from tandem.config.places import stored_config
from tandem.errors import DataError
from tandem.paper.jobs import chosen
from tandem.paper.outcome import Outcome
from tandem.paper.plan import Paper, RowTable
from tandem.runs.mixture import refuse_mixtures
from tandem.runs.provenance import WAYS_OUT
from tandem.study.cells import cells_of
from tandem.study.mixture import check_cells
from tandem.study.swept_params import param_labels, swept_params

log = logging.getLogger(__name__)


def check_data(outcome: Outcome) -> None:
    """Compares the data of every finished run with those of today.

    Raises:
        DataError: the data have changed since a run was trained.
    """
    from tandem.data.unchanged import NOT_CHECKED, Read, look

    known: dict[str, Read] = {}
    absent: Mapping[str, Any] = {}
    for place, run in outcome.runs.items():
        state = look(stored_config(run.results)["data"], run.folder, known)
        if state.word == "changed":
            raise DataError(f"the data changed since the run {place} was trained: {state.reason}; {WAYS_OUT}")
        if state.word == "absent":
            absent = {**absent, state.reason: place}
    for reason, place in absent.items():
        log.warning("%s (%s): %s", NOT_CHECKED, place, reason)


def check_rows(paper: Paper, outcome: Outcome, mixed: bool) -> None:
    """Refuses rows and cells that average runs of other data, versions, devices or precisions.

    Args:
        paper: with its tables.
        outcome: of the jobs.
        mixed: whether the user allows it.

    Raises:
        ConfigError: a row mixes runs, and that is not allowed.
    """
    for name, table in paper.tables.items():
        if not isinstance(table, RowTable):
            runs = outcome.runs_of([job for job in outcome.jobs if job.study in table.studies])
            check_cells(cells_of(runs, param_labels(swept_params(runs), runs)) if runs else (), mixed, "mixed=true")
            continue
        for key, row in table.rows.items():
            own = outcome.runs_of(chosen(outcome.jobs, row.runs, f"paper.tables.{name}.rows.{key}"))
            pairs = [(run.folder, run.results) for run in own]
            for line in refuse_mixtures(pairs, f"row '{key}' of table '{name}'", "" if mixed else "mixed=true"):
                log.warning("row '%s' of table '%s' averages %s", key, name, line)
