"""Records how a folder of predictions was made, so that only the same command resumes it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tandem.errors import ConfigError
from tandem.utils.artifacts import BEST
from tandem.utils.files import read_json, sha256, shortest, write_json

if TYPE_CHECKING:
    from tandem.predict.settings import PredictSettings
    from tandem.runs.restore import TrainedRun
    from tandem.tasks.kinds import Question

MANIFEST = "manifest.json"
TABLE, FAILED, MASKS, OVERLAYS = "predictions.csv", "failed.csv", "masks", "overlays"


def open_folder(settings: "PredictSettings", runs: "Sequence[TrainedRun]", questions: "Sequence[Question]") -> bool:
    """Creates the folder, or checks that its files belong to these runs and settings.

    Args:
        settings: the settings of the command.
        runs: the runs that predict.
        questions: the questions that they answer.

    Returns:
        Whether earlier predictions are resumed.

    Raises:
        ConfigError: if the folder holds other predictions, or unrelated files with the same names.
    """
    manifest = _manifest(settings, runs, questions)
    out = settings.out
    file = out / MANIFEST
    if not file.exists():
        if taken := [name for name in (TABLE, FAILED, MASKS, OVERLAYS) if (out / name).exists()]:
            raise ConfigError(
                f"out={out} holds {taken[0]}, but no {MANIFEST}, so it was made by something else; set another out=..."
            )
        write_json(file, manifest)
        return False
    before = read_json(file)
    if other := [key for key in manifest if before.get(key) != manifest[key]]:
        raise ConfigError(
            f"out={out} holds predictions with other {' and '.join(other)} (see {MANIFEST}); set another out=..., or "
            "delete that folder"
        )
    return True


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
        },
        "thresholds": {q.name: [shortest(value) for value in q.thresholds] for q in questions if q.thresholds},
    }
