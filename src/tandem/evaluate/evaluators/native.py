"""Masks at the size of their files: the network's maps resized as `predict` does, against the files' own masks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.decisions.stages import decided, decided_classes
from tandem.errors import DataError
from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate
from tandem.evaluate.evaluators.channel import COUNTS, MaskMeasure, overlap
from tandem.evaluate.evaluators.class_overlap import OverlapMeasure, confusion_of
from tandem.evaluate.findings import Score
from tandem.tasks import Task, TaskOutput

if TYPE_CHECKING:
    from tandem.evaluate.split import Split

COUNTED = ("known", "area_true", "area_predicted", "intersection")
"""Counts of pixels of the file."""

CELLS = tuple(f"{name}_native" for name in ("dice", "iou", *COUNTED))
"""Columns of `images.csv`, of each channel."""

OF_CLASS = ("area_true", "area_predicted", "intersection")
"""Counts of pixels of each class."""

SCORES = ("dice", "iou", "dice_lesion", "iou_lesion")
"""Metrics of masks that exist at the size of the files too, with `_native` at the end of their names."""


class Native:
    """Reads the masks of the files of a split, one image at a time, so that memory does not grow with the images.

    Args:
        task: the task, with the applied thresholds.
        split: the split to evaluate.
    """

    def __init__(self, task: Task, split: "Split") -> None:
        self.task = task
        self.files = split.file_masks
        self.windowed = split.windowed

    @classmethod
    def is_wanted(cls, task: Task, split: "Split") -> bool:
        """Whether the split has masks of files for this task."""
        return bool(split.file_masks) and getattr(task, "target", None) == "mask"

    def pair(self, name: str, maps: Tensor) -> tuple[Tensor, npt.NDArray[np.uint8]] | None:
        """The network's maps in the size of an image's file, (C, H, W), and the file's mask, (K, H, W).

        Args:
            name: id of the image.
            maps: (C, size, size) probabilities.

        Returns:
            None if the image is no file.

        Raises:
            DataError: a mask cannot be read any more.
        """
        if (file := self.files.get(name)) is None:
            return None
        try:
            place, answer = file.place, maps.float().cpu()
            if self.windowed is not None:
                place, answer = self.windowed(self.task.name, name, file) or (place, answer)
            return place.to_file(answer), file.read()
        except DataError as error:
            raise DataError(
                f"image {name!r} or its mask was read, and cannot be read again: restore the file, or set native=false"
            ) from error


class NativeChannels(Native):
    """Yes/no masks at the size of their files. Arguments: `Native`."""

    def __init__(self, task: Task, split: "Split") -> None:
        super().__init__(task, split)
        self.counted: list[npt.NDArray[np.int64]] = []

    def see(self, output: TaskOutput, names: Sequence[str]) -> list[list[dict[str, Any]]]:
        """Adds a batch; returns the values of `CELLS` for each image and channel."""
        rows = []
        for name, maps in zip(names, output.probabilities, strict=True):
            counts = np.zeros((len(maps), len(COUNTED)), np.int64)
            if (found := self.pair(name, maps)) is not None:
                whole, truth = found
                drawn = decided(whole[None], self.task.threshold.cpu(), self.task.decision)[0].numpy()
                known = truth != MISSING_PIXEL
                parts = (known, truth == 1, drawn & known, drawn & (truth == 1))
                counts = np.stack([part.sum((1, 2)) for part in parts], axis=1)
            self.counted.append(counts)
            dice, iou = overlap(_widened(counts))
            rows.append(
                [
                    dict(zip(CELLS, (d, i, *count), strict=True)) if count[0] else {}
                    for d, i, count in zip(dice.tolist(), iou.tolist(), counts.tolist(), strict=True)
                ]
            )
        return rows

    def scores(
        self, channel: int, aggregate: str, empty: str, draws: BootstrapSamples, rows: Any = slice(None)
    ) -> dict[str, Score]:
        """The metrics of `SCORES` with intervals, by name.

        Args:
            channel: channel of the masks.
            aggregate: see `MaskMeasure`, as for `empty`.
            empty: how images without lesion count.
            draws: bootstrap samples of the images.
            rows: the images; the default takes all.
        """
        counts = _widened(np.stack(self.counted)[rows, channel])
        measure = MaskMeasure(counts, aggregate, empty)

        def found(weights: Array) -> dict[str, Array]:
            every = measure(weights)
            return {f"{name}_native": every[name] for name in SCORES}

        return estimate(found, draws)


class NativeClasses(Native):
    """Masks of classes at the size of their files. Arguments: `Native`."""

    def __init__(self, task: Task, split: "Split") -> None:
        super().__init__(task, split)
        self.kept: list[npt.NDArray[np.int64]] = []

    def see(self, output: TaskOutput, names: Sequence[str]) -> None:
        """Adds a batch."""
        classes = self.task.channels
        for name, maps in zip(names, output.probabilities, strict=True):
            matrix = np.zeros((classes, classes), np.int64)
            if (found := self.pair(name, maps)) is not None:
                matrix = confusion_of(
                    found[1][0], decided_classes(found[0][None], self.task.decision)[0].numpy(), classes
                )
            self.kept.append(matrix)

    @property
    def columns(self) -> list[str]:
        """Columns of `images.csv`."""
        return [f"{name}.{cell}_native" for name in self.task.class_names for cell in ("dice", *OF_CLASS)]

    def cells(self, count: int) -> list[dict[str, Any]]:
        """Areas, intersection and Dice of each class of the last images, by column of `images.csv`."""
        measure = OverlapMeasure(np.stack(self.kept[-count:]), self.task.class_names)
        parts = dict(zip(OF_CLASS, (measure.true, measure.drawn, measure.hits), strict=True))
        rows_of: list[dict[str, Any]] = [{} for _ in measure.dice]
        for c, name in enumerate(self.task.class_names):
            for place, row in enumerate(rows_of):
                row[f"{name}.dice_native"] = float(measure.dice[place, c])
                row |= {f"{name}.{cell}_native": int(values[place, c]) for cell, values in parts.items()}
        return rows_of

    def scores(self, draws: BootstrapSamples) -> dict[str, Score]:
        """Dice and IoU, over all classes and of each, with intervals: the names of `OverlapMeasure` and `_native`."""
        found = estimate(OverlapMeasure(np.stack(self.kept), self.task.class_names), draws)
        return {_native(name): score for name, score in found.items()}


def _native(name: str) -> str:
    metric, slash, of = name.partition("/")
    return f"{metric}_native{slash}{of}"


def _widened(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The counts in the columns of `COUNTS`; those that are not counted at the size of files are 0."""
    found = np.zeros((len(counts), len(COUNTS)), np.int64)
    found[:, : len(COUNTED)] = counts
    return found
