"""Decides which rows of an earlier prediction stay, and removes the files of those that do not."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.predict.drawn import masks_of, overlay_file
from tandem.predict.found import shown
from tandem.utils.artifacts import PREDICTIONS

if TYPE_CHECKING:
    from tandem.predict.found import Found
    from tandem.predict.image_state import ImageStates
    from tandem.predict.predictor import Predictor
    from tandem.predict.settings import PredictSettings

log = logging.getLogger(__name__)

ENDINGS = (".png", ".nii.gz")
"""Of masks that this command writes."""


class KeptRows:
    """Called with a row: whether it stays, as its image has not changed and all its files exist.

    The masks and overlays of a row that leaves are removed, unless they were changed after the table was written: then
    a person has worked on them.

    Args:
        files: the images, by name.
        predictor: that answers.
        settings: of the command.
        states: of the images when they were predicted.
    """

    def __init__(
        self, files: "Mapping[str, Found]", predictor: "Predictor", settings: "PredictSettings", states: "ImageStates"
    ) -> None:
        self.files, self.questions, self.settings, self.states = files, predictor.questions, settings, states
        table = settings.out / PREDICTIONS
        self.written = table.stat().st_mtime_ns if table.exists() else 0
        self.changed = self.gone = 0
        self.worked_on: list[Path] = []

    def __call__(self, row: Mapping[str, str]) -> bool:
        """Whether a row, by column, stays."""
        name = row["image"]
        if name not in self.files:
            self.gone += 1
            self._drop(row)
            return False
        if not self.states.unchanged(self.files[name]):
            self.changed += 1
            self._drop(row)
            return False
        stem = self.files[name].stem
        masks = masks_of(self.questions, stem, self.files[name].mask_ending)
        overlays = [overlay_file(task, stem) for task, *_ in masks] if self.settings.overlays else []
        right = all(row[column] == shown(file) for _, _, column, file in masks)
        if not right:  # another image with this stem has come or gone
            self._drop(row)
            return False
        out = self.settings.out
        return all((out / file).is_file() for file in [*(mask[3] for mask in masks), *overlays])

    def log_dropped(self) -> None:
        """Logs how many rows have left the table, and why."""
        if self.gone:
            log.info("rows of images that are no longer in %s left the table: %d", self.settings.images, self.gone)
        if self.changed:
            log.info("images that have changed and are predicted again: %d", self.changed)
        if self.worked_on:
            log.warning(
                "masks of rows that left the table, but were edited since, stay: %d, such as %s",
                len(self.worked_on), self.worked_on[0],
            )  # fmt: skip

    def _drop(self, row: Mapping[str, str]) -> None:
        self.states.forget(row["image"])
        for place in self._files_of(row):
            if not place.is_file():
                continue
            if place.stat().st_mtime_ns <= self.written:
                place.unlink()
            else:
                self.worked_on.append(place)

    def _files_of(self, row: Mapping[str, str]) -> Sequence[Path]:
        """Masks that the row names and their overlays, if they lie where this command writes them."""
        out = self.settings.out.resolve()
        found = []
        for task, _, column, start in masks_of(self.questions, ""):
            name = row[column].removeprefix("./")
            folder, ending = start.removesuffix(".png"), next((end for end in ENDINGS if name.endswith(end)), "")
            if name.startswith(folder) and ending and (out / name).resolve().is_relative_to(out):
                found += [out / name, out / overlay_file(task, name[len(folder) : -len(ending)])]
        return list(dict.fromkeys(found))
