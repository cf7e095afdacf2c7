"""The rows per image (`images.csv`) of finished runs; runs without them are evaluated first."""

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tandem.errors import DataError
from tandem.evaluate.settings import OF_FLIPS
from tandem.paper.measures import Answers
from tandem.paper.plan import NATIVE, STORED
from tandem.study.runs import Run
from tandem.utils.names import from_cell

log = logging.getLogger(__name__)

IMAGES = {
    (split, flips): Path("evaluation") / f"{split}{OF_FLIPS * flips}" / "images.csv"
    for split in ("test", "val")
    for flips in (False, True)
}
"""Path of the rows per image in a run's folder, by split, and by whether mirrored copies are averaged."""

ENDS = {STORED: "", NATIVE: "", 0.5: "_at_0.5"}
"""Suffix of the columns of counts, by threshold."""

Table = Mapping[str, Sequence[str]]


def make_images(runs: Sequence[Run], data: Mapping[str, Any], split: str = "test", flips: bool = False) -> None:
    """Evaluates runs, once each, if they have no rows per image of a split at their stored thresholds.

    Args:
        runs: finished runs.
        data: data options that replace the run's, such as the current `root`.
        split: `test`, or `val`.
        flips: whether probabilities are averaged over mirrored copies.

    Raises:
        TandemError: a run cannot be evaluated, for instance because its data are missing.
    """
    left = [run for run in runs if not _at_stored(run.folder / IMAGES[split, flips], run)]
    for number, run in enumerate(left, 1):
        from tandem.evaluate.command import evaluate_run
        from tandem.evaluate.settings import read_settings

        log.info("evaluating %d of %d on %s data: %s", number, len(left), split, run.folder)
        known = {key: value for key, value in data.items() if key in run.config["data"]}
        evaluate_run(
            read_settings(
                {
                    "run": str(run.folder), "split": split, "threshold": STORED, "batch_size": None, "device": None,
                    "masks": False, "cases": 0, "page": False, "samples": 1000, "seed": 0, "data": known,
                    "flips": flips,
                }
            )
        )  # fmt: skip


def reader(at: Any, split: str = "test", tempered: bool = True, flips: bool = False) -> Callable[[Run], Answers]:
    """Returns a function that reads the predictions of a run; see `read_answers`.

    Args:
        at: threshold of masks and yes/no questions: 0.5, `stored`, or `native`: the stored one, masks at the size of
            the files.
        split: `test`, or `val`.
        tempered: whether probabilities are those of the run's decision; if not, as before its temperature.
        flips: whether probabilities are averaged over mirrored copies.
    """
    return lambda run: read_answers(run.folder / IMAGES[split, flips], at, {} if tempered else _temperatures(run))


def _temperatures(run: Run) -> Mapping[str, float]:
    return {task: one["temperature"] for task, one in (run.results.get("decisions") or {}).items()}


def combined(read: Callable[[Run], Answers], run: Run, other: Run | None, where: str) -> Answers:
    """The predictions of a row's run, with the classes of another run if there is one.

    Args:
        read: reads a run.
        run: of the row.
        other: the run that classifies; None: the same.
        where: key of the row, for messages.

    Raises:
        DataError: the other run predicts no classes, or the images differ.
    """
    return read(run) if other is None else with_classes(read(run), read(other), where)


def read_answers(path: Path, at: Any, undone: Mapping[str, float] | None = None) -> Answers:
    """Reads the predictions of a run for each image.

    Args:
        path: an `images.csv`.
        at: threshold of masks and yes/no questions: 0.5, `stored`, or `native`; images without files, and those that
            have the network's size, are counted as they are.
        undone: temperature by task, which its probabilities have and shall not have; None: none.

    Raises:
        DataError: the file is missing, or was not written by an evaluation.
    """
    table = _read(path)
    masks = _task(table, ".area_true")
    end, whole = ENDS[at], ""
    if at == NATIVE and f"{masks}.area_true_native" in table:
        end = whole = "_native"
    try:
        classes = _classes(table, at, undone or {})
        return Answers(
            ids=np.array(table["id"], dtype=np.str_),
            labels=np.array(table["class"], dtype=np.str_),
            true=_counts(table[f"{masks}.area_true{whole}"]) if masks else None,
            drawn=_counts(table[f"{masks}.area_predicted{end}"]) if masks else None,
            hits=_counts(table[f"{masks}.intersection{end}"]) if masks else None,
            **classes,
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
    if other.predicted is None:
        raise DataError(f"{where}: the run of classes_from predicts no classes")
    row_of = {name: row for row, name in enumerate(other.ids.tolist())}
    if row_of.keys() != set(answers.ids.tolist()):
        raise DataError(f"{where}: the runs to combine were not tested on the same images")
    rows = np.array([row_of[name] for name in answers.ids.tolist()], dtype=np.int64)
    probabilities = None if other.probabilities is None else other.probabilities[rows]
    return replace(answers, predicted=other.predicted[rows], probabilities=probabilities, classes=other.classes)


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


def _classes(table: Table, at: Any, undone: Mapping[str, float]) -> dict[str, Any]:
    """Predicted classes with their probabilities: of a class, or of the one question that has the name of a class."""
    if task := _task(table, ".predicted"):
        start = f"{task}.probability."
        names = tuple(key.removeprefix(start) for key in table if key.startswith(start))
        known = [_floats(table[start + name]) for name in names]
        answers = np.array(table[f"{task}.predicted"], dtype=np.str_)
        p = _without(np.stack(known, 1), undone.get(task, 1.0)) if known else None
        return {"predicted": answers, "probabilities": p, "classes": names}
    questions = [key.removesuffix(".probability") for key in table if key.endswith(".probability")]
    classes = set(table["class"])
    if len(questions) != 1 or len(classes) != 2 or (yes := questions[0].rpartition(".")[2]) not in classes:
        return {"predicted": None}
    (no,) = classes - {yes}
    p = _floats(table[f"{questions[0]}.probability"])
    both = _without(np.stack([1 - p, p], 1), undone.get(questions[0].partition(".")[0], 1.0))
    answers = np.where(p >= (0.5 if at == 0.5 else _floats(table[f"{questions[0]}.threshold"])), yes, no)
    return {"predicted": answers, "probabilities": both, "classes": (no, yes)}


def _without(p: Any, temperature: float) -> Any:
    """Probabilities of exclusive classes as they were before their logits were divided by a temperature."""
    if temperature == 1:
        return p
    powers = (p / p.max(1, keepdims=True)) ** temperature
    return powers / powers.sum(1, keepdims=True)


def _floats(cells: Sequence[str]) -> Any:
    return np.array([float(cell) for cell in cells], dtype=np.float64)


def _counts(cells: Sequence[str]) -> Any:
    return np.array([int(cell) for cell in cells], dtype=np.int64)


def _at_stored(path: Path, run: Run) -> bool:
    """Whether the rows per image of a run are there, at its stored threshold."""
    if not path.is_file():
        return False
    table = _read(path)
    masks = _task(table, ".area_true")
    if masks is None:
        return True
    stored = (run.results.get("thresholds") or {}).get(masks) or []
    used = {float(cell) for cell in table.get(f"{masks}.threshold", ()) if cell}
    return len(stored) == 1 and used == {float(stored[0])}
