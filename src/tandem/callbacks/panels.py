"""Image panels, for trackers and for the run's folder."""

import heapq
import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from torch import Tensor

from tandem.callbacks.split import SplitCallback, due
from tandem.callbacks.threshold_sweep import dense_binary_tasks
from tandem.data.batch import MISSING_PIXEL
from tandem.errors import ConfigError
from tandem.module import MultiTaskModule, Outputs
from tandem.reports.panels import RGBImage, panel_row, panel_sheet
from tandem.tasks import TaskOutput
from tandem.trackers import log_image
from tandem.utils.files import write_json, write_whole


class Case(NamedTuple):
    """One drawn case.

    Attributes:
        row: image, masks and errors.
        id: name of the image.
        label: index of its class; None if it is unknown.
        dice: of the predicted mask at the threshold; nan if true and predicted mask are empty.
    """

    row: RGBImage
    id: str
    label: int | None
    dice: float


class Panels(SplitCallback):
    """Draws cases of a split: image, true mask, predicted mask, error.

    During training, the first cases are sent to the trackers every few epochs. When the best checkpoint is evaluated,
    the cases with the lowest Dice are saved in the run's folder, worst first: `<stage>_<task>.png`, and
    `<stage>_<task>.json` with `id`, `class` and `dice` of each. On several devices these are cases of the first rank.

    Args:
        folder: where the files are written.
        count: number of cases per split, at least 0.
        every: epochs between two sets of panels, at least 1.

    Raises:
        ConfigError: if a number is below its minimum.
    """

    def __init__(self, folder: str | Path, count: int = 8, every: int = 5) -> None:
        if count < 0 or every < 1:
            raise ConfigError(f"count={count}, every={every}: need count >= 0 and every >= 1")
        self.folder = Path(folder)
        self.count = count
        self.every = every
        self.rows: dict[str, list[RGBImage]] = {}
        self.worst: dict[str, list[tuple[float, int, Case]]] = {}
        self.seen = 0

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Starts a new set."""
        self.rows, self.worst, self.seen = {}, {}, 0

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Collects cases, with the current threshold."""
        if not (self.count and self._due(trainer) and trainer.is_global_zero):
            return
        for name, task in dense_binary_tasks(module):
            if (output := outputs.get(name)) is None:
                continue
            if trainer.state.fn == "fit":
                self._first(self.rows.setdefault(name, []), output, batch, task.threshold[0])
            else:
                self._worst(self.worst.setdefault(name, []), output, batch, task.threshold[0])

    def _first(self, rows: list[RGBImage], output: TaskOutput, batch: Mapping[str, Any], threshold: Tensor) -> None:
        for place, row, predicted, mask in _images(output, batch, threshold):
            if len(rows) == self.count:
                return
            rows.append(panel_row(batch["image"][row].cpu(), mask[place], predicted[place]))

    def _worst(
        self, kept: list[tuple[float, int, Case]], output: TaskOutput, batch: Mapping[str, Any], threshold: Tensor
    ) -> None:
        """Keeps the cases with the lowest Dice, in a heap whose first entry is the best of them."""
        for place, row, predicted, mask in _images(output, batch, threshold):
            self.seen += 1
            dice = _dice(predicted[place], mask[place])
            key = (-math.inf if math.isnan(dice) else -dice, -self.seen)
            if len(kept) == self.count and key < kept[0][:2]:
                continue
            label = int(batch["label"][row]) if "label" in batch else -1
            drawn = panel_row(batch["image"][row].cpu(), mask[place], predicted[place])
            case = Case(drawn, str(batch["id"][row]) if "id" in batch else "", label if label >= 0 else None, dice)
            (heapq.heappushpop if len(kept) == self.count else heapq.heappush)(kept, (*key, case))

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Sends the set to the trackers during training, and writes it to files afterwards."""
        if trainer.state.fn != "fit":
            self._to_files(trainer, stage)
        elif self._due(trainer):
            for name, rows in self.rows.items():
                if rows:
                    log_image(trainer, f"val/{name}/panels", panel_sheet(rows))

    def _due(self, trainer: pl.Trainer) -> bool:
        """Returns whether to draw: always after training; during training every few epochs and in the last one."""
        return trainer.state.fn != "fit" or due(trainer, self.every)

    def _to_files(self, trainer: pl.Trainer, stage: str) -> None:
        from PIL import Image

        data = getattr(trainer, "datamodule", None)
        classes = () if data is None else data.info.classes
        for name, kept in self.worst.items():
            cases = [case for *_, case in sorted(kept, key=lambda entry: entry[:2], reverse=True)]
            if not cases:
                continue
            sheet = Image.fromarray(panel_sheet([case.row for case in cases]))
            write_whole(self.folder / f"{stage}_{name}.png", partial(sheet.save, format="png"))
            write_json(
                self.folder / f"{stage}_{name}.json",
                [
                    {
                        "id": case.id,
                        "class": classes[case.label] if case.label is not None and case.label < len(classes) else None,
                        "dice": None if math.isnan(case.dice) else round(case.dice, 4),
                    }
                    for case in cases
                ],
            )


def _images(
    output: TaskOutput, batch: Mapping[str, Any], threshold: Tensor
) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Yields each case's place in the output, its row in the batch, and all predicted and true masks, on the CPU."""
    own = output.rows[output.rows < len(batch["image"])]  # the rows of rank 0
    predicted = (output.probabilities[: len(own), 0] >= threshold).cpu()
    mask = output.target[: len(own), 0].cpu()
    for place, row in enumerate(own.tolist()):
        yield place, row, predicted, mask


def _dice(predicted: Tensor, mask: Tensor) -> float:
    """Dice of one image over its known pixels; nan if both masks are empty."""
    known = mask != MISSING_PIXEL
    true = (mask == 1) & known
    total = int(true.sum()) + int((predicted & known).sum())
    return 2 * int((true & predicted).sum()) / total if total else math.nan
