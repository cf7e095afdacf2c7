"""What a folder of predictions was made with, so that only the same goes on with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.errors import ConfigError
from tandem.utils.artifacts import BEST
from tandem.utils.files import read_json, sha256, shortest, write_json

if TYPE_CHECKING:
    from tandem.predict.answers import Question
    from tandem.predict.settings import PredictSettings
    from tandem.runs.restore import TrainedRun

MANIFEST = "manifest.json"
TABLE, FAILED, MASKS, OVERLAYS = "predictions.csv", "failed.csv", "masks", "overlays"


def open_folder(settings: "PredictSettings", runs: "Sequence[TrainedRun]", questions: "Sequence[Question]") -> bool:
    """Makes the folder, or makes sure that its files belong to these runs and settings.

    Args:
        settings: what is asked.
        runs: that answer.
        questions: that are answered.

    Returns:
        Whether there is something to go on with.

    Raises:
        ConfigError: a folder of other predictions, or with files of the same names.
    """
    said = _said(settings, runs, questions)
    out = settings.out
    file = out / MANIFEST
    if settings.overwrite:
        for name in (TABLE, FAILED):
            (out / name).unlink(missing_ok=True)
        write_json(file, said)
        return False
    if not file.exists():
        if taken := [name for name in (TABLE, FAILED, MASKS, OVERLAYS) if (out / name).exists()]:
            raise ConfigError(
                f"out={out} holds {taken[0]} that was not made here ({MANIFEST} is missing); give another, or add "
                "overwrite=true"
            )
        write_json(file, said)
        return False
    before = _read(file)
    if other := [key for key in said if before.get(key) != said[key]]:
        raise ConfigError(
            f"out={out} holds predictions of other {' and '.join(other)} (see {MANIFEST}); give another out=..., or "
            "delete that folder"
        )
    return True


def _read(file: Path) -> dict[str, Any]:
    try:
        found = read_json(file)
    except ValueError as error:
        raise ConfigError(f"{file} was not written by this command; give another out=..., or remove it") from error
    return found if isinstance(found, dict) else {}


def _said(settings: "PredictSettings", runs: "Sequence[TrainedRun]", questions: "Sequence[Question]") -> dict[str, Any]:
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
        },
        "thresholds": {q.name: [shortest(value) for value in q.thresholds] for q in questions if q.thresholds},
    }
