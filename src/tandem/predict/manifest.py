"""Records how a folder of predictions was made, so that only the same command resumes it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tandem.errors import ConfigError
from tandem.utils.artifacts import BEST, MANIFEST
from tandem.utils.artifacts import PREDICTIONS as TABLE
from tandem.utils.files import read_json, sha256, shortest, write_json

if TYPE_CHECKING:
    from tandem.predict.settings import PredictSettings
    from tandem.runs.restore import TrainedRun
    from tandem.tasks.kinds import Question

log = logging.getLogger(__name__)

FAILED, MASKS, OVERLAYS = "failed.csv", "masks", "overlays"

FILES = "files"
"""Key of the manifest with the state of each predicted image, see `tandem.predict.image_state`."""

__all__ = ["FAILED", "FILES", "MANIFEST", "MASKS", "OVERLAYS", "TABLE", "Opened", "open_folder"]


class Opened(NamedTuple):
    """A folder of predictions.

    Attributes:
        manifest: what it says, without the images.
        resumed: whether it holds earlier predictions.
        states: states of the images when they were predicted, by name.
    """

    manifest: Mapping[str, Any]
    resumed: bool
    states: Mapping[str, str]


def open_folder(settings: "PredictSettings", runs: "Sequence[TrainedRun]", questions: "Sequence[Question]") -> Opened:
    """Creates the folder, or checks that its files belong to these runs and settings.

    Args:
        settings: the settings of the command.
        runs: the runs that predict.
        questions: the questions that they answer.

    Raises:
        ConfigError: if the folder holds other predictions, or unrelated files with the same names.
    """
    manifest = _manifest(settings, runs, questions)
    out = settings.out
    file = out / MANIFEST
    if settings.overwrite:
        for name in (TABLE, FAILED):
            (out / name).unlink(missing_ok=True)
        write_json(file, manifest)
        return Opened(manifest, False, {})
    if not file.exists():
        if taken := [name for name in (TABLE, FAILED, MASKS, OVERLAYS) if (out / name).exists()]:
            raise ConfigError(
                f"out={out} holds {taken[0]}, but no {MANIFEST}, so something else made it; set another out=..., or "
                "add overwrite=true"
            )
        write_json(file, manifest)
        return Opened(manifest, False, {})
    before = _read(file)
    states = before.get(FILES)
    if before.get("images") != manifest["images"] and not Path(str(before.get("images"))).exists():
        log.info("the images were in %s and are now in %s", before.get("images"), manifest["images"])
        before["images"] = manifest["images"]  # they have moved; each is compared with what was predicted
    if other := [key for key in manifest if before.get(key) != manifest[key]]:
        raise ConfigError(
            f"out={out} holds predictions with other {' and '.join(other)} (see {MANIFEST}); set another out=..., or "
            "delete that folder"
        )
    return Opened(manifest, True, states if isinstance(states, dict) else {})


def _read(file: Path) -> dict[str, Any]:
    try:
        found = read_json(file)
    except ValueError as error:
        raise ConfigError(f"{file} was not written by this command; set another out=..., or remove it") from error
    return found if isinstance(found, dict) else {}


def _decided(runs: "Sequence[TrainedRun]") -> dict[str, Any]:
    """The decisions of each run, if there are any, so that folders of runs without them stay as they were."""
    from tandem.runs.decisions import plain

    found = [plain({name: task.decision for name, task in run.module.tasks.items()}) for run in runs]
    return {"decisions": found} if any(found) else {}


def _manifest(
    settings: "PredictSettings", runs: "Sequence[TrainedRun]", questions: "Sequence[Question]"
) -> dict[str, Any]:
    return {
        "runs": [
            {"name": run.results["name"], "hash": run.results["hash"], "checkpoint": sha256(run.folder / BEST)}
            for run in runs
        ],
        "images": str(settings.images.resolve()),
        "settings": {
            "flips": settings.flips,
            "overlays": settings.overlays,
            "data": {key: value for key, value in settings.data.items() if value is not None},
            **({} if settings.overlap is None else {"windows": settings.overlap}),
            **_decided(runs),
        },
        "thresholds": {q.name: [shortest(value) for value in q.thresholds] for q in questions if q.thresholds},
    }
