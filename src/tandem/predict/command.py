"""The command: predicts a folder of any number of images, and writes masks and a table."""

import errno
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.errors import DataError
from tandem.predict.settings import PredictSettings, read_settings
from tandem.utils.lazy_imports import load_libraries

if TYPE_CHECKING:
    from tandem.predict.found import Found
    from tandem.predict.predictor import Prediction, Predictor
    from tandem.tasks.kinds import Question

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
    """Writes `predictions.csv`, `failed.csv`, masks and overlays for all images that are not done yet.

    A row is written after its files, so an image with a row is complete. Images that failed before are tried again.

    Args:
        settings: runs, images, and the output folder.

    Raises:
        ConfigError: if a run is not finished, runs differ, or the folder holds other predictions.
        DataError: if no image could be predicted.
    """
    from tandem.predict.ensemble import Ensemble
    from tandem.predict.found import find
    from tandem.predict.manifest import FAILED, TABLE, open_folder
    from tandem.predict.predictor import Predictor
    from tandem.predict.progress import progress
    from tandem.predict.table import PredictionsFile
    from tandem.runs.restore import restore

    files = find(settings.images, settings.out)
    runs = [restore(folder) for folder in settings.runs]
    predictor = Predictor(Ensemble(runs, settings.flips, settings.device, settings.data, settings.mixed))
    resumed = open_folder(settings, runs, predictor.questions)
    table, failures = (
        PredictionsFile(settings.out / TABLE, columns(predictor)),
        PredictionsFile(settings.out / FAILED, ("image", "reason")),
    )
    done = table.keep(_is_complete({file.name: file for file in files}, predictor, settings))
    failures.keep(lambda row: False)
    missing = [file for file in files if file.name not in done]
    if len(missing) < len(files):
        log.info("%d of %d images are already predicted", len(files) - len(missing), len(files))
    failed, start = 0, time.perf_counter()
    with table, failures, progress(len(missing)) as advance, closing(each(predictor, missing, settings)) as answers:
        for file, row in answers:
            if isinstance(row, DataError):
                failures.add({"image": file.name, "reason": str(row)})
                failed += 1
            else:
                table.add(row)
            advance()
    if resumed:
        table.sort([file.name for file in files])
    new, seconds = len(missing) - failed, time.perf_counter() - start
    if new:
        log.info("%d images predicted, %.1f per second: %s", new, new / seconds, settings.out)
    if failed:
        log.warning("%d of %d images failed; see %s for the reasons", failed, len(files), failures.path)
    if failed == len(files):
        raise DataError(f"none of {failed} files could be predicted; see {failures.path} for the reasons")


def each(
    predictor: "Predictor", files: "Sequence[Found]", settings: PredictSettings
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

    with closing(predictor.each(list(by_path), settings.batch_size, use)) as answers:
        for path, row in answers:
            yield by_path[path], row


def columns(predictor: "Predictor") -> list[str]:
    """Returns the header of `predictions.csv`."""
    of_tasks = [f"{q.name}.{column}" for q in predictor.questions for column in q.columns]
    return ["image", "width", "height", *of_tasks]


def _is_complete(
    files: "Mapping[str, Found]", predictor: "Predictor", settings: PredictSettings
) -> Callable[[Mapping[str, str]], bool]:
    """Returns a function that decides whether a row stays: all its files exist, and no other image will write them.

    Rows of images that no longer exist stay too.
    """
    from tandem.predict.drawn import overlay_file
    from tandem.predict.found import shown

    claimed = {shown(name) for file in files.values() for *_, name in masks_of(predictor.questions, file.stem)}

    def complete(row: Mapping[str, str]) -> bool:
        if row["image"] not in files:
            return not any(row[column] in claimed for _, _, column, _ in masks_of(predictor.questions, ""))
        stem = files[row["image"]].stem
        masks = masks_of(predictor.questions, stem)
        overlays = [overlay_file(task, stem) for task, *_ in masks] if settings.overlays else []
        written = [row[column] == shown(name) for _, _, column, name in masks]
        return all(written) and all((settings.out / name).is_file() for name in [*(m[3] for m in masks), *overlays])

    return complete


def masks_of(questions: "Sequence[Question]", stem: str) -> list[tuple[str, str, str, str]]:
    """Returns task, channel, table column and file below `out` for each mask of an image.

    Args:
        questions: the questions that are answered.
        stem: stem of the image's files.
    """
    from tandem.predict.drawn import mask_file

    return [
        (q.name, channel, f"{q.name}.{channel}.file" if channel else f"{q.name}.file", mask_file(q.name, stem, channel))
        for q in questions
        for channel in q.masks
    ]


def _write(file: "Found", prediction: "Prediction", settings: PredictSettings) -> dict[str, Any]:
    """Writes the masks of an image; returns its row."""
    from tandem.predict.drawn import overlay_file, write_mask, write_overlay
    from tandem.predict.found import shown
    from tandem.tasks.kinds import DenseAnswer

    row: dict[str, Any] = {"image": file.name, "width": prediction.width, "height": prediction.height}
    for task, answer in prediction.answers.items():
        row |= {f"{task}.{key}": value for key, value in answer.row.items()}
        if isinstance(answer, DenseAnswer):
            for _, channel, column, name in masks_of([answer.question], file.stem):
                write_mask(settings.out / name, answer.masks[channel], file.path)
                row[column] = shown(name)
            if settings.overlays:
                write_overlay(settings.out / overlay_file(task, file.stem), file.path, answer.regions.values())
    return row
