"""The command: predicts a folder of any number of images, and writes masks and a table."""

import errno
import logging
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.errors import DataError
from tandem.predict.settings import PredictSettings, read_settings
from tandem.utils.files import shortest
from tandem.utils.lazy_imports import load_libraries

if TYPE_CHECKING:
    from tandem.predict.found import Found
    from tandem.predict.image_state import ImageStates
    from tandem.predict.predictor import Prediction, Predictor
    from tandem.runs.restore import TrainedRun

log = logging.getLogger(__name__)


def main() -> None:
    """The command of `scripts/predict.py`."""
    from tandem.cli import run_tool

    run_tool(predict_job, "predict", "interrupted; rerun the same command to predict the remaining images")


def predict_job(config: Mapping[str, Any]) -> None:
    """Predicts a folder and logs the outcome.

    Args:
        config: the resolved configuration of `conf/predict.yaml`.
    """
    settings = read_settings(config)
    load_libraries()
    predict_folder(settings)


def predict_folder(settings: PredictSettings) -> None:
    """Writes `predictions.csv`, `failed.csv`, masks and overlays for all images that are new or have changed.

    A row is written after its files, so an image with a row is complete. Rows of images that are no longer there leave
    the table, and their masks the folder. Images that failed before are tried again. A second command for the same
    folder waits until the first one has ended.

    Args:
        settings: runs, images, and the output folder.

    Raises:
        ConfigError: if a run is not finished, runs differ, or the folder holds other predictions.
        DataError: if no image could be predicted.
    """
    from tandem.utils.turns import taking_turns

    with taking_turns(settings.out):
        _predict(settings)


def _predict(settings: PredictSettings) -> None:
    from tandem.evaluate.decide import decide_run
    from tandem.predict.ensemble import Ensemble
    from tandem.predict.found import find
    from tandem.predict.image_state import ImageStates
    from tandem.predict.kept_rows import KeptRows
    from tandem.predict.manifest import FAILED, TABLE, open_folder
    from tandem.predict.predictor import Predictor
    from tandem.predict.progress import progress
    from tandem.predict.table import PredictionsFile
    from tandem.runs.restore import restore

    runs = [restore(folder) for folder in settings.runs]
    for run in runs:
        decide_run(run, settings.threshold, settings.decide, settings.device)
    files = find(settings.images, settings.out, mask_rule(runs) if settings.skip_masks else None)
    given = (settings.flips, settings.device, settings.data, settings.mixed, settings.overlap)
    predictor = Predictor(Ensemble(runs, *given))
    opened = open_folder(settings, runs, predictor.questions)
    states = ImageStates(settings.out, opened)
    table, failures = (
        PredictionsFile(settings.out / TABLE, columns(predictor), in_mm(predictor), any_sizes(files, settings)),
        PredictionsFile(settings.out / FAILED, ("image", "reason")),
    )
    kept = KeptRows({file.name: file for file in files}, predictor, settings, states)
    done = table.keep(kept)
    kept.log_dropped()
    failures.keep(lambda row: False)
    missing = [file for file in files if file.name not in done]
    if len(missing) < len(files):
        log.info("%d of %d images are already predicted", len(files) - len(missing), len(files))
    failed, start = 0, time.perf_counter()
    answers = each(predictor, missing, settings, states)
    with table, failures, states, progress(len(missing)) as advance, closing(answers):
        for file, row in answers:
            if isinstance(row, DataError):
                failures.add({"image": file.name, "reason": str(row)})
                failed += 1
            else:
                table.add(row)
                states.predicted(file)
            advance()
    if opened.resumed:
        table.sort([file.name for file in files])
    new, seconds = len(missing) - failed, time.perf_counter() - start
    if new:
        log.info("%d images predicted, %.1f per second: %s", new, new / seconds, settings.out)
    if failed:
        log.warning("%d of %d images failed; see %s for the reasons", failed, len(files), failures.path)
    if failed == len(files):
        raise DataError(f"none of {failed} files could be predicted; see {failures.path} for the reasons")


def mask_rule(runs: "Sequence[TrainedRun]") -> "Callable[[Sequence[Path]], set[Path]]":
    """Returns a function that finds masks in a folder: by the names of the runs' training data, and by usual names.

    Args:
        runs: that predict.
    """
    from tandem.config.instantiate import build
    from tandem.data.files.mask_names import masks_by_name
    from tandem.data.source import masks_among

    sources = [build(run.config["data"], "data") for run in runs]
    return lambda files: masks_by_name(files).union(*(masks_among(source, files) for source in sources))


def each(
    predictor: "Predictor", files: "Sequence[Found]", settings: PredictSettings, states: "ImageStates"
) -> "Generator[tuple[Found, dict[str, Any] | DataError]]":
    """Yields each file with its row, once its masks are written, or with the error."""
    by_path = {file.path: file for file in files}

    def use(path: Path, prediction: "Prediction") -> dict[str, Any]:
        try:
            return _write(by_path[path], prediction, settings)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # affects this image only, unlike a full disk
                raise DataError(f"the name is too long to write with another extension ({error.strerror})") from error
            raise

    with closing(predictor.each(states.noted(files), settings.batch_size, use)) as answers:
        for path, row in answers:
            yield by_path[path], row


def columns(predictor: "Predictor") -> list[str]:
    """Returns the header of `predictions.csv`."""
    of_tasks = [f"{q.name}.{column}" for q in predictor.questions for column in q.columns]
    return ["image", "width", "height", *of_tasks]


PIXEL = ("pixel_height_mm", "pixel_width_mm")
"""Columns with the size of the pixels of an image."""


def in_mm(predictor: "Predictor") -> list[str]:
    """Returns the columns of `predictions.csv` in millimetres, which follow the others."""
    from tandem.tasks.kinds import DenseAnswer

    dense = [q for q in predictor.questions if issubclass(q.kind.answer, DenseAnswer)]
    areas = [f"{q.name}.{column}_mm2" for q in dense for column in q.columns if column.rpartition(".")[2] == "area"]
    return [*PIXEL, *areas]


def any_sizes(files: "Sequence[Found]", settings: PredictSettings) -> bool:
    """Whether the size of pixels may be known for an image, so that the table has columns in millimetres."""
    if settings.spacing is not None:
        return not math.isnan(settings.spacing[0])
    return any(file.may_state_spacing for file in files)


def areas(cells: Mapping[str, Any], spacing: tuple[float, float]) -> dict[str, float]:
    """Returns the areas among the cells of an answer in square millimetres, by column.

    Example:
        >>> areas({"area": 12, "share": 0.5, "cyst.area": 100}, (0.5, 0.25))
        {'area_mm2': 1.5, 'cyst.area_mm2': 12.5}
    """
    pixel = spacing[0] * spacing[1]
    return {f"{key}_mm2": shortest(value * pixel) for key, value in cells.items() if key.rpartition(".")[2] == "area"}


def _write(file: "Found", prediction: "Prediction", settings: PredictSettings) -> dict[str, Any]:
    """Writes the masks of an image; returns its row."""
    from tandem.predict.drawn import masks_of, overlay_file, write_mask, write_overlay
    from tandem.predict.found import shown
    from tandem.tasks.kinds import DenseAnswer

    row: dict[str, Any] = {"image": file.name, "width": prediction.width, "height": prediction.height}
    spacing = prediction.spacing if settings.spacing is None else settings.spacing
    if spacing is not None and not math.isnan(spacing[0]):
        row |= dict(zip(PIXEL, map(shortest, spacing), strict=True))
    for task, answer in prediction.answers.items():
        if spacing is not None and not math.isnan(spacing[0]):
            row |= {f"{task}.{key}": value for key, value in areas(answer.cells, spacing).items()}
        row |= {f"{task}.{key}": value for key, value in answer.row.items()}
        if isinstance(answer, DenseAnswer):
            for _, channel, column, name in masks_of([answer.question], file.stem, file.mask_ending):
                write_mask(settings.out / name, answer.masks[channel], file.path)
                row[column] = shown(name)
            if settings.overlays:
                write_overlay(settings.out / overlay_file(task, file.stem), file.path, answer.regions.values())
    return row
