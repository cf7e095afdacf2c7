"""`resume_from`: a run that continues from the last checkpoint of another one, with weights, optimiser and schedule."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.config.identity import differences, run_hash
from tandem.config.places import stored_config
from tandem.config.resolve import flatten
from tandem.data.unchanged import NOT_CHECKED, look
from tandem.errors import ConfigError, DataError
from tandem.runs.restore import read_results
from tandem.utils.artifacts import BEST, DATA, FILES, IDENTITY, LAST, METRICS, PERFORMANCE, SPLITS_FILE
from tandem.utils.digests import check_intact, read_artifact
from tandem.utils.files import copy_whole, write_json

log = logging.getLogger(__name__)

MAY_DIFFER = (
    *("resume_from", "trainer.max_epochs", "trainer.max_steps", "trainer.max_time"),
    *("trainer.min_epochs", "trainer.min_steps", "trainer.accelerator", "trainer.devices", "callbacks.early_stopping"),
)
"""Options that decide how long and where a run is trained; all others must be those of the run that is continued."""


def continue_run(config: Mapping[str, Any], folder: Path) -> None:
    """Puts the checkpoints of the run that `resume_from` names into a new run's folder, which then resumes.

    Args:
        config: the resolved configuration.
        folder: of the new run; nothing is done if it already has a checkpoint.

    Raises:
        ConfigError: if `resume_from` is not a finished run, has other settings, or has trained for as many epochs.
        DataError: if the data have changed since.
    """
    if (given := config.get("resume_from")) is None or (folder / LAST).exists():
        return
    run = Path(given).expanduser()
    try:
        results = read_results(run)
    except ConfigError as error:
        raise ConfigError(str(error).replace("run=", "resume_from=", 1)) from error
    if not (run / LAST).is_file() or not (run / BEST).is_file():
        raise ConfigError(f"resume_from={run} lacks {LAST} or {BEST}, so it cannot be continued; train it again")
    _check_settings(config, results, run)
    state = look(config["data"], run)
    if state.word == "changed":
        raise DataError(
            f"the data changed since resume_from={run} was trained: {state.reason}; train a new run, with "
            f"network.weights={run / BEST} to start from its weights"
        )
    if state.word == "absent":
        log.warning("resume_from=%s: %s: %s", run, NOT_CHECKED, state.reason)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (BEST, DATA, FILES, METRICS, PERFORMANCE, SPLITS_FILE):
        if (run / name).is_file():
            _copy(run / name, folder / name)
    write_identity(config, folder, {"hash": results["hash"], "epoch": results["epochs"]})
    _copy(run / LAST, folder / LAST)  # at the end, since it is what makes the folder that of a run to resume
    log.info("continues %s (hash %s) after epoch %d", run, results["hash"], results["epochs"])


def _copy(path: Path, place: Path) -> None:
    check_intact(path)
    copy_whole(path, place)


def write_identity(config: Mapping[str, Any], folder: Path, origin: Mapping[str, Any] | None = None) -> None:
    """Stores the hash of a run's configuration in its folder, with the run that it continues.

    Args:
        config: the resolved configuration.
        folder: the run's folder.
        origin: hash and epoch of the run that it continues; None keeps what the folder says.
    """
    write_json(folder / IDENTITY, {"hash": run_hash(config), "resumed_from": origin or resumed_from(folder)})


def resumed_from(folder: Path) -> dict[str, Any] | None:
    """Hash of the run that a run continues, and the number of epochs that it had trained; None if it continues none."""
    found = read_artifact(folder / IDENTITY).get("resumed_from") if (folder / IDENTITY).is_file() else None
    return found if isinstance(found, dict) else None


def _check_settings(config: Mapping[str, Any], results: Mapping[str, Any], run: Path) -> None:
    keys = [
        key
        for key in differences(stored_config(results), config)
        if not any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER)
    ]
    if keys:
        before = flatten(results["config"])
        shown = ", ".join(f"{key}={before[key]}" if key in before else f"no {key}" for key in keys[:3])
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        raise ConfigError(
            f"resume_from={run} was trained with {shown}{more}, which cannot change while it is continued; give the "
            f"same, or start a new run with network.weights={run / BEST}"
        )
    epochs = config["trainer"].get("max_epochs")
    if epochs is not None and 0 <= epochs <= results["epochs"]:
        raise ConfigError(
            f"resume_from={run} has trained {results['epochs']} epochs already; give a larger trainer.max_epochs than "
            f"{epochs}"
        )
