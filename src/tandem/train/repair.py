"""Damaged and missing files of a run: written again from the others where that is possible."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.errors import TandemError
from tandem.reports.metrics_table import write_metrics
from tandem.utils.artifacts import (
    ARTIFACTS,
    BEST,
    COMPUTED,
    DATA,
    FILES,
    IDENTITY,
    LAST,
    METRICS,
    PREVIOUS,
    RESULTS,
    SPLITS_FILE,
)  # fmt: skip
from tandem.utils.digests import forget, is_damaged, read_artifact, recorded
from tandem.utils.files import copy_whole, write_json

log = logging.getLogger(__name__)

ASIDE = ".damaged"
"""Ending of the name that a damaged file gets; nothing reads it."""


def repair(folder: Path) -> None:
    """Puts damaged files of a run aside, and writes them again, or leaves them to the training that follows.

    A damaged `last.ckpt` falls back on the one before, and training repeats what came after. Without a best checkpoint
    that a run had, or without any checkpoint, an unfinished run is trained from the beginning. Each step is logged.

    Args:
        folder: the run's folder; may be empty, or not exist yet.
    """
    with recorded(folder):
        damaged = [name for name in ARTIFACTS if _put_aside(folder / name)]
        if not (folder / LAST).is_file() and (folder / PREVIOUS).is_file():
            copy_whole(folder / PREVIOUS, folder / LAST)
            log.warning("%s is missing or damaged: the one before it is used", folder / LAST)
        elif LAST in damaged and not (folder / RESULTS).is_file():
            log.warning("%s is lost, and the one before it too: the run is trained from the beginning", folder / LAST)
        if (folder / RESULTS).is_file():
            _repair_finished(folder)
        elif (folder / LAST).is_file():
            _repair_unfinished(folder)
        forget(folder, *(name for name in damaged if not (folder / name).exists()))


def _put_aside(path: Path) -> bool:
    if not is_damaged(path):
        return False
    path.replace(path.with_name(path.name + ASIDE))
    log.warning("%s is damaged (kept as %s)", path, path.name + ASIDE)
    return True


def _repair_unfinished(folder: Path) -> None:
    """What training reads: the best checkpoint; without it, the run starts again, and gives the same numbers."""
    if not (folder / BEST).is_file() and _had_best(folder / LAST):
        log.warning("%s is missing or damaged: the run is trained from the beginning", folder / BEST)
        for name in (LAST, PREVIOUS):
            (folder / name).unlink(missing_ok=True)
    elif not (folder / DATA).is_file():
        log.warning("%s is missing: it is not checked that the data are those with which the run began", folder / DATA)


def _repair_finished(folder: Path) -> None:
    results = read_artifact(folder / RESULTS)
    missing = [name for name in ARTIFACTS if not (folder / name).is_file()]
    if METRICS in missing and (folder / LAST).is_file() and (rows := _rows(folder / LAST)):
        write_metrics(folder / METRICS, rows)
        log.warning("%s was written again from %s", folder / METRICS, LAST)
    if COMPUTED in missing and results.get("computed"):
        write_json(folder / COMPUTED, results["computed"])
        log.warning("%s was written again from %s", folder / COMPUTED, RESULTS)
    if IDENTITY in missing and "resumed_from" in results:
        write_json(folder / IDENTITY, {"hash": results["hash"], "resumed_from": results["resumed_from"]})
    if DATA in missing or SPLITS_FILE in missing:
        _read_data_again(folder, results, missing)
    if BEST in missing:
        log.warning(
            "%s is missing or damaged: %s still answers, but predict, evaluate and export need it; copy it back, or "
            "delete %s and rerun the command to train again", folder / BEST, RESULTS, folder / RESULTS,
        )  # fmt: skip


def _read_data_again(folder: Path, results: Mapping[str, Any], missing: list[str]) -> None:
    """Writes the splits and the description of the data, if they are still those of the run."""
    from tandem.data.splitting.splits import write_splits
    from tandem.data.unchanged import keep_inventory
    from tandem.factory import make_data
    from tandem.runs.provenance import describe_data

    try:
        data = make_data({**results["config"], "augment": None})
        data.setup()
    except (TandemError, OSError) as error:
        log.warning("%s cannot be written again: %s", " and ".join(missing), " ".join(str(error).split()))
        return
    now, before = data.fingerprint(), results["data"]["fingerprint"]
    if any(now.get(split) != before.get(split) for split in data.splits):
        log.warning("%s cannot be written again: the data are not those of the run", " and ".join(missing))
        return
    if SPLITS_FILE in missing:
        write_splits(folder / SPLITS_FILE, data.splits, data.info.classes)
    if DATA in missing:
        describe_data(data, before, folder)
    if FILES in missing:
        keep_inventory(data.inventory(), folder)
    log.warning("%s: files about the data were written again", folder)


def _had_best(last: Path) -> bool:
    """Whether a run had a best epoch when its last checkpoint was saved."""
    states = _read(last).get("callbacks", {}).values()
    return any(state.get("best_model_path") for state in states if isinstance(state, dict))


def _rows(last: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.csv` in a checkpoint."""
    rows: list[dict[str, Any]] = _read(last).get("callbacks", {}).get("MetricsCSV", {}).get("rows", [])
    return rows


def _read(checkpoint: Path) -> dict[str, Any]:
    import torch

    found: dict[str, Any] = torch.load(checkpoint, weights_only=True, map_location="cpu")
    return found
