"""The rows per image (`images.csv`) of finished runs; runs without them are evaluated first."""

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import DataError
from tandem.paper.measures import Answers
from tandem.paper.plan import NATIVE, STORED
from tandem.study.runs import Run
from tandem.utils.names import from_cell

log = logging.getLogger(__name__)

IMAGES = Path("evaluation") / "test" / "images.csv"
"""Path of the rows per image in a run's folder."""

ENDS = {STORED: "", NATIVE: "", 0.5: "_at_0.5"}
"""Suffix of the columns of counts, by threshold."""

Table = Mapping[str, Sequence[str]]


def make_images(runs: Sequence[Run], data: Mapping[str, Any]) -> None:
    """Evaluates runs on test data, once each, if they have no rows per image at their stored thresholds.

    Args:
        runs: finished runs.
        data: data options that replace the run's, such as the current `root`.

    Raises:
        TandemError: a run cannot be evaluated, for instance because its data are missing.
    """
    left = [run for run in runs if not _at_stored(run)]
    for number, run in enumerate(left, 1):
        from tandem.evaluate.command import evaluate_run
        from tandem.evaluate.settings import read_settings

        log.info("evaluating %d of %d: %s", number, len(left), run.folder)
        known = {key: value for key, value in data.items() if key in run.config["data"]}
        evaluate_run(
            read_settings(
                {
                    "run": str(run.folder), "split": "test", "threshold": STORED, "batch_size": None, "device": None,
                    "masks": False, "cases": 0, "page": False, "samples": 1000, "seed": 0, "data": known,
                }
            )
        )  # fmt: skip


def reader(at: Any) -> Callable[[Run], Answers]:
    """Returns a function that reads the predictions of a run; see `read_answers`.

    Args:
        at: threshold of the masks: 0.5, `stored` or `native`.
    """
    return lambda run: read_answers(run.folder / IMAGES, at)


def read_answers(path: Path, at: Any) -> Answers:
    """Reads the predictions of a run for each image.

    Args:
        path: an `images.csv`.
        at: threshold of the masks: 0.5, `stored`, or `native`; images without files, and those that have the network's
            size, are counted as they are.

    Raises:
        DataError: the file is missing, or was not written by an evaluation.
    """
    table = _read(path)
    masks = _task(table, ".area_true")
    classes = _task(table, ".predicted")
    end, whole = ENDS[at], ""
    if at == NATIVE and f"{masks}.area_true_native" in table:
        end = whole = "_native"
    try:
        return Answers(
            ids=np.array(table["id"], dtype=np.str_),
            labels=np.array(table["class"], dtype=np.str_),
            true=_counts(table[f"{masks}.area_true{whole}"]) if masks else None,
            drawn=_counts(table[f"{masks}.area_predicted{end}"]) if masks else None,
            hits=_counts(table[f"{masks}.intersection{end}"]) if masks else None,
            predicted=np.array(table[f"{classes}.predicted"], dtype=np.str_) if classes else None,
        )
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); evaluate the run again") from error


def with_classes(answers: Answers, other: Answers, where: str) -> Answers:
    """Replaces the predicted classes by those of another run on the same images.

    Args:
        answers: predictions of one run.
        other: predictions of the run that classifies.
        where: key of the row, for messages.

    Raises:
        DataError: the other run predicts no classes, or the images differ.
    """
    from dataclasses import replace

    if other.predicted is None:
        raise DataError(f"{where}: the run of classes_from predicts no classes")
    by_id = dict(zip(other.ids.tolist(), other.predicted.tolist(), strict=True))
    if by_id.keys() != set(answers.ids.tolist()):
        raise DataError(f"{where}: the runs to combine were not tested on the same images")
    return replace(answers, predicted=np.array([by_id[name] for name in answers.ids.tolist()], dtype=np.str_))


def _read(path: Path) -> Table:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); evaluate the run again") from error
    return {key: [from_cell(row[key]) for row in rows] for key in (rows[0] if rows else ())}


def _task(table: Table, ending: str) -> str | None:
    """The first task that has a column with this ending."""
    return next((name.removesuffix(ending) for name in table if name.endswith(ending) and name.count(".") == 1), None)


def _counts(cells: Sequence[str]) -> Any:
    return np.array([int(cell) for cell in cells], dtype=np.int64)


def _at_stored(run: Run) -> bool:
    """Whether the run has rows per image at its stored threshold."""
    path = run.folder / IMAGES
    if not path.is_file():
        return False
    table = _read(path)
    masks = _task(table, ".area_true")
    if masks is None:
        return True
    stored = (run.results.get("thresholds") or {}).get(masks) or []
    used = {float(cell) for cell in table.get(f"{masks}.threshold", ()) if cell}
    return len(stored) == 1 and used == {float(stored[0])}
