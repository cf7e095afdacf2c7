"""What a run's folder already holds: results, a run to resume, or files of other settings or data."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.config.identity import differences, run_hash
from tandem.data.unchanged import NOT_CHECKED, look
from tandem.errors import ConfigError, DataError
from tandem.reports.run_report import REPORT
from tandem.runs.provenance import SKIPPED, WAYS_OUT
from tandem.utils.artifacts import ARTIFACTS, DIGESTS, FAULTS, IDENTITY, LAST, RESULTS
from tandem.utils.digests import read_artifact

log = logging.getLogger(__name__)

REFUSE, RETRAIN = "refuse", "retrain"
"""Values of `on_changed_data`."""

CONFIG = "config.yaml"
LEFT = (
    *(*ARTIFACTS, DIGESTS, CONFIG, REPORT, FAULTS, SKIPPED),
    *("evaluation", "panels", "tensorboard"),
)
"""What a run leaves in its folder, and training again removes; logs and Hydra's files stay."""

KEYS = 4
"""Number of differing options that a message names."""


def finished_results(config: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """Returns the results of a finished run, if they belong to this configuration and the present data.

    Args:
        config: the resolved configuration.
        folder: the run's folder.

    Returns:
        The content of `results.json`; None if the run has to be trained, or trained further.

    Raises:
        ConfigError: if the folder belongs to a run with other settings, or `on_changed_data` is unknown.
        DataError: if the data have changed since the run was trained, and `on_changed_data` is `refuse`.
    """
    if (choice := config.get("on_changed_data", REFUSE)) not in (REFUSE, RETRAIN):
        raise ConfigError(f"on_changed_data is '{choice}', but must be '{REFUSE}' or '{RETRAIN}'")
    finished, began = (folder / RESULTS).exists(), (folder / LAST).exists()
    if (other := _other_settings(config, folder)) is not None:
        if finished or began:
            raise ConfigError(other)
        clear(folder)  # a run with other settings that ended before its first epoch
    if not finished and not began:
        return None
    state = look(config["data"], folder)
    if state.word == "changed":
        if choice == REFUSE:
            what = "was trained" if finished else "began"
            raise DataError(f"the data changed since the run in {folder} {what}: {state.reason}; {WAYS_OUT}")
        log.warning("the data changed (%s): the run in %s is trained again", state.reason, folder)
        clear(folder)
        return None
    if not finished:
        return None
    note = f" ({NOT_CHECKED}: {state.reason})" if state.word == "absent" else ""
    log.info("already finished, answered from %s%s", folder / RESULTS, note)
    results: dict[str, Any] = read_artifact(folder / RESULTS)
    return results


def clear(folder: Path) -> None:
    """Removes what a run has left in its folder, so that it is trained from the beginning."""
    for name in LEFT:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _other_settings(config: Mapping[str, Any], folder: Path) -> str | None:
    """A message if the folder holds a run with other settings; None if it holds none, or this one."""
    found = _stored(folder)
    if found is None or found[0] == (now := run_hash(config)):
        return None
    then, stored = found
    keys = differences(stored, config) if stored else []
    shown = ", ".join(keys[:KEYS]) + (f" and {len(keys) - KEYS} more" if len(keys) > KEYS else "")
    differing = f"other values of {shown}" if keys else "other settings"
    return (
        f"{folder} holds a run with {differing} (hash {then}, not {now}); choose another folder with hydra.run.dir or "
        "hydra.sweep.subdir, or leave them out, so that each run has its own"
    )


def _stored(folder: Path) -> tuple[str, Mapping[str, Any]] | None:
    """Hash and configuration of the run in a folder; None if there is none."""
    from omegaconf import OmegaConf

    if (folder / RESULTS).exists():
        results = read_artifact(folder / RESULTS)
        return str(results["hash"]), results["config"]
    config = (
        OmegaConf.to_container(OmegaConf.load(folder / CONFIG), resolve=False) if (folder / CONFIG).exists() else {}
    )
    assert isinstance(config, dict)
    stored: dict[str, Any] = {str(key): value for key, value in config.items()}
    if (folder / IDENTITY).exists():
        return read_artifact(folder / IDENTITY)["hash"], stored
    return (run_hash(stored), stored) if stored else None
