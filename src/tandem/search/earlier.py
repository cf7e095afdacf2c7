"""The trials of an earlier launch: a search continues only if they were trained on the present data."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.config.places import stored_config
from tandem.data.unchanged import NOT_CHECKED, Read, look
from tandem.errors import DataError
from tandem.runs.mixture import refuse_mixtures
from tandem.utils.artifacts import RESULTS
from tandem.utils.digests import read_artifact

if TYPE_CHECKING:
    from tandem.search.trials import Trials

log = logging.getLogger(__name__)


def check_earlier(trials: "Trials", mixed: bool) -> None:
    """Compares the data of complete trials with the present data, and the trials with each other.

    Args:
        trials: of the search.
        mixed: whether it continues in any case (`search.mixed`).

    Raises:
        ConfigError: if trials are of other versions of the data or of tandem, of other devices or precisions.
        DataError: if the data have changed since a trial was trained.
    """
    done = [trial for trial in trials.all() if trial.state.name == "COMPLETE" and "folder" in trial.user_attrs]
    folders = {trial.number: Path(trial.user_attrs["folder"]) for trial in done}
    found = {number: folder for number, folder in folders.items() if (folder / RESULTS).is_file()}
    runs = [(folder, read_artifact(folder / RESULTS)) for folder in found.values()]
    for line in refuse_mixtures(runs, "the search", "" if mixed else "search.mixed=true"):
        log.warning("the search compares %s", line)
    known: dict[str, Read] = {}
    for number, (folder, results) in zip(found, runs, strict=True):
        state = look(stored_config(results)["data"], folder, known)
        if state.word == "absent":
            log.warning("trial %d: %s: %s", number, NOT_CHECKED, state.reason)
        if state.word != "changed":
            continue
        if not mixed:
            raise DataError(
                f"the data changed since trial {number} of this search was trained: {state.reason}; give the search "
                "another name=..., or continue with both by search.mixed=true"
            )
        log.warning("trial %d was trained on other data: %s", number, state.reason)
