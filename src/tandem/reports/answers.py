"""The sentence that a page of results begins with: how good, on which images, how sure, and what is weakest."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tandem.metrics.catalogue import Quantity, describe
from tandem.reports.table import headline
from tandem.utils.resampling import wilson

Interval = tuple[float | None, float | None]

SPLITS = {"val": "validation", "train": "training"}
"""Names of splits in a sentence, where they are longer."""

RECALL = "recall/"
"""Beginning of the names of recalls of single classes."""


def task_answers(
    metrics: Mapping[str, float | None],
    tasks: Sequence[str],
    stage: str,
    stored: Mapping[str, Quantity],
    intervals: Mapping[str, Interval],
) -> list[str]:
    """One sentence a task: its first metric on a split, the threshold, and the class with the lowest recall.

    Args:
        metrics: by logged name.
        tasks: names of the tasks.
        stage: the split, such as `test`.
        stored: quantities of the run.
        intervals: ends of the intervals that are known, by logged name.

    Example:
        >>> found = {"test/lesion/dice": 0.8512, "test/lesion/threshold": 0.5}
        >>> task_answers(found, ["lesion"], "test", {}, {"test/lesion/dice": (0.83, 0.87)})
        ['Lesion: Dice 0.851 [0.830, 0.870] at threshold 0.5 from validation']
    """
    own = {name: value for name, value in metrics.items() if name.startswith(f"{stage}/")}
    found = []
    for task in tasks:
        name = headline(own, task, stored)
        if name is None:
            continue
        key = f"{stage}/{task}/{name}"
        one = describe(key, stored)
        words = _over(own, f"{stage}/{task}/", stored) if name == "dice" else one.column_label.partition(" (")[0]
        said = f"{task}: {words} {shown(one, own[key], intervals.get(key))}"
        threshold = own.get(f"{stage}/{task}/threshold")
        if one.at_threshold and threshold is not None:
            said += f" at threshold {threshold:.3g}" + (" from validation" if stage == "test" else ", chosen on them")
        said += _weakest(own, f"{stage}/{task}/{RECALL}", stored, intervals)
        found.append(f"{said[:1].upper()}{said[1:]}")
    return found


def _over(metrics: Mapping[str, float | None], prefix: str, stored: Mapping[str, Quantity]) -> str:
    """What the official Dice is over: it equals Dice over all pixels, or the mean per image with a lesion."""
    value = metrics[f"{prefix}dice"]
    same = [
        key for key in ("dice_global", "dice_lesion") if value is not None and metrics.get(f"{prefix}{key}") == value
    ]
    return describe(f"{prefix}{same[0]}", stored).label if len(same) == 1 else "Dice"


BRACKETS = "[low, high]: 95 % interval over images."


def shown(one: Quantity, value: float | None, interval: Interval | None) -> str:
    """A value with its interval, if that is known."""
    low, high = interval or (None, None)
    known = low is not None and high is not None and not (math.isnan(low) or math.isnan(high))
    return one.text(value) + (f" [{one.text(low)}, {one.text(high)}]" if known else "")


def _weakest(
    metrics: Mapping[str, float | None],
    prefix: str,
    stored: Mapping[str, Quantity],
    intervals: Mapping[str, Interval],
) -> str:
    """The class with the lowest recall, of two classes or more."""
    recalls = {
        name: value
        for name, value in metrics.items()
        if name.startswith(prefix) and value is not None and not math.isnan(value)
    }
    if len(recalls) < 2:
        return ""
    name = min(recalls, key=lambda name: recalls[name])
    recall = shown(describe(name, stored), recalls[name], intervals.get(name))
    return f"; recall of {name.removeprefix(prefix)} {recall} is the weakest"


def recall_intervals(confusion: Mapping[str, Any]) -> Iterator[tuple[str, Interval]]:
    """Logged names and 95 % Wilson intervals of the recalls that confusion matrices hold.

    Args:
        confusion: by `<stage>/<task>`: `classes`, and `counts`, whose rows are the true classes.
    """
    for place, matrix in confusion.items():
        for index, (name, row) in enumerate(zip(matrix["classes"], matrix["counts"], strict=True)):
            share = row[index] / sum(row) if sum(row) else math.nan
            low, high = wilson(share, sum(row), 0.95).tolist()
            yield f"{place}/{RECALL}{name}", (low, high)


def on_images(split: str, count: int | None, said: Sequence[str]) -> str:
    """The answers of the tasks behind the images that they are about.

    Args:
        split: such as `val`.
        count: number of its images; None: unknown.
        said: of `task_answers`.

    Example:
        >>> on_images("val", 1200, ["Lesion: Dice 0.851"])
        'On 1,200 validation images. Lesion: Dice 0.851.'
    """
    number = "" if count is None else f"{count:,} "
    return f"On {number}{SPLITS.get(split, split)} images. {'. '.join(said)}."


def run_answer(results: Mapping[str, Any], stored: Mapping[str, Quantity], images: Mapping[str, int]) -> str:
    """The answer of a run: its numbers on test data, or on validation data where there is no test.

    Args:
        results: content of `results.json`.
        stored: quantities of the run.
        images: number of images of each split; empty if it is unknown.
    """
    metrics = results["metrics"]
    stage = "test" if any(name.startswith("test/") for name in metrics) else "val"
    intervals = dict(recall_intervals(results.get("confusion", {})))
    said = task_answers(metrics, list(results["config"]["tasks"]), stage, stored, intervals)
    if not said:
        return "This run has no metric of a task."
    brackets = f" {BRACKETS}" if any(" [" in sentence for sentence in said) else ""
    more = "This is one run: evaluate.py adds the other intervals."
    return f"{on_images(stage, images.get(stage), said)}{brackets} {more}"
