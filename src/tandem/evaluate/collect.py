"""Writes one row per image during the pass over the split."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from tandem.callbacks.split import SplitCallback
from tandem.data.batch import MISSING_LABEL
from tandem.evaluate.evaluators import Evaluator, Images
from tandem.evaluate.rows import RowsFile
from tandem.module import MultiTaskModule, Outputs


class Collector(SplitCallback):
    """Passes the outputs of each task to its evaluator, and writes the resulting rows.

    Args:
        parts: evaluators by name of the task.
        rows: the file to write to; None: no rows are written.
        classes: names of the classes.
    """

    def __init__(self, parts: Mapping[str, Evaluator], rows: RowsFile | None, classes: Sequence[str]) -> None:
        self.parts = parts
        self.rows = rows
        self.classes = classes
        self.seen = 0

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Writes the rows of a batch. A task's cells are empty for an image without a target for this task."""
        ids, labels = batch["id"], self._labels(batch)
        table: list[dict[str, Any]] = [{"id": name, "class": label} for name, label in zip(ids, labels, strict=True)]
        for name, part in self.parts.items():
            if name not in outputs:
                continue
            rows = outputs[name].rows.tolist()
            images = Images(
                [self.seen + row for row in rows], [ids[row] for row in rows], [labels[row] for row in rows]
            )
            for row, cells in zip(rows, part.see(outputs[name], images), strict=True):
                table[row] |= {f"{name}.{column}": value for column, value in cells.items()}
        self.seen += len(ids)
        if self.rows is not None:
            self.rows.write(table)

    def _labels(self, batch: Mapping[str, Any]) -> list[str]:
        """Class name of each image; empty where it is unknown."""
        if "label" not in batch or not self.classes:
            return [""] * len(batch["id"])
        return ["" if label == MISSING_LABEL else self.classes[label] for label in batch["label"].tolist()]
