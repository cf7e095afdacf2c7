"""Evaluates multiclass segmentation: overlap of each class, confusion of pixels, and cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from tandem.decisions.stages import decided_classes
from tandem.evaluate.bootstrap import BootstrapSamples, estimate, mean_known
from tandem.evaluate.decided_classes import DecidedClasses
from tandem.evaluate.evaluators.class_overlap import OverlapMeasure, confusion_of
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.evaluators.native import NativeClasses
from tandem.evaluate.findings import Drawing, Findings, Score, ScoreTable, Shown
from tandem.evaluate.mask_files import file_name, write_classes
from tandem.evaluate.risk import Risk
from tandem.metrics.catalogue import CATALOGUE
from tandem.reports.figures import confusion_figure
from tandem.tasks import Task, TaskOutput
from tandem.tasks.kinds import ClassMask, Kind

if TYPE_CHECKING:
    from tandem.evaluate.case_viewer import CaseViewer
    from tandem.evaluate.split import Split

CELLS = ("area_true", "area_predicted", "intersection")
OF_CLASS = ("dice_of", "iou_of", "dice_image")
NOTE = (
    "With 95 % bootstrap intervals over {over}. An image without a class is left out of this class's mean per image; "
    "over pixels, a class that is neither present nor predicted has a dash. Unlabelled pixels (255) are ignored."
)


class ClassMasks(Evaluator):
    """Evaluates one class of C for each pixel. See `Evaluator` for the arguments."""

    of: ClassVar[type[Kind]] = ClassMask

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        super().__init__(task, split, folder)
        self.kept: list[npt.NDArray[np.int64]] = []
        self.sure: list[float] = []
        self.decided = DecidedClasses(task)
        self.native = NativeClasses(task, split) if NativeClasses.is_wanted(task, split) else None

    @property
    def columns(self) -> Sequence[str]:
        """Areas of each class, at the size of the files too if it is asked for, and the path of the mask."""
        own = [] if self.native is None else self.native.columns
        return [
            *(f"{name}.{cell}" for name in self.task.class_names for cell in CELLS),
            *own,
            *(["file"] if self.folder else []),
        ]

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Counts pixels; writes the predicted masks."""
        classes = self.task.channels
        predicted, target = decided_classes(output.probabilities, self.task.decision), output.target.cpu().numpy()
        self.decided.see(output.probabilities.argmax(1), predicted, output.target)
        self.sure += output.probabilities.amax(1).double().flatten(1).mean(1).tolist()
        rows: list[Mapping[str, Any]] = []
        for name, drawn, truth in zip(images.ids, predicted.cpu().numpy(), target, strict=True):
            matrix = confusion_of(truth, drawn, classes)
            self.kept.append(matrix)
            of_class = np.stack([matrix.sum(1), matrix.sum(0), matrix.diagonal()], axis=1)
            cells: dict[str, Any] = dict(zip(self.columns, of_class.ravel().tolist(), strict=False))
            if self.folder is not None:
                cells["file"] = file_name(self.task.name, name)
                write_classes(self.folder / cells["file"], drawn.astype(np.uint8))
            rows.append(cells)
        if self.native is not None:
            self.native.see(output, images.ids)
            rows = [{**row, **own} for row, own in zip(rows, self.native.cells(len(rows)), strict=True)]
        return rows

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Computes the overlap of each class, with intervals."""
        if not self.kept:
            return Findings({}, notes=["No image of this split has a mask."])
        names, matrices = self.task.class_names, np.stack(self.kept)
        scores = estimate(OverlapMeasure(matrices, names), draws)
        shown = [*OF_CLASS]
        if self.native is not None:
            scores |= self.native.scores(draws)
            shown += [f"{key}_native" for key in OF_CLASS]
        rows: list[list[str | int | float | Score]] = [
            [name, int((matrices[:, c].sum(1) > 0).sum()), *(scores[f"{key}/{name}"] for key in shown)]
            for c, name in enumerate(names)
        ]
        matrix = matrices.sum(0)
        drawing = Drawing(confusion_figure(matrix, names, counts=False), "Confusion of pixels: share of the true class")
        note = NOTE.format(over=draws.over)
        table = ScoreTable(
            "By class of pixel",
            ["class", "images with it", *(CATALOGUE[key].one_label for key in shown)],
            rows,
            note,
        )
        return Findings(scores, [table, *self.decided.tables(draws)], [drawing], {"confusion": matrix.tolist()})

    def risks(self) -> Sequence[Risk]:
        """See `Evaluator`. The loss is 1 minus the mean Dice of the foreground classes that an image has."""
        if not self.kept:
            return ()
        dice = mean_known(OverlapMeasure(np.stack(self.kept), self.task.class_names).dice[:, 1:])
        measured = "the largest probability of each pixel, in the mean"
        return [Risk("", np.array(self.sure), 1 - dice, "mean Dice of foreground classes", measured)]

    def measure(self) -> "OverlapMeasure | None":
        """See `Evaluator`."""
        return OverlapMeasure(np.stack(self.kept), self.task.class_names) if self.kept else None

    def show(self, viewer: "CaseViewer", count: int) -> list[Shown]:
        """Shows the best, median and worst images by mean Dice of the foreground classes that are present."""
        if not self.kept or not count:
            return []
        dice = mean_known(OverlapMeasure(np.stack(self.kept), self.task.class_names).dice[:, 1:])
        scored = np.flatnonzero(~np.isnan(dice))
        scored = scored[np.argsort(-dice[scored], kind="stable")]
        middle = max(0, (len(scored) - count) // 2)
        groups = {"Worst": scored[-count:][::-1], "Median": scored[middle : middle + count], "Best": scored[:count]}
        return [
            viewer.class_masks(
                self.task,
                f"{title} by mean Dice of the foreground classes",
                [(self.places[row], f"{self.ids[row]}: Dice {dice[row]:.3f}") for row in rows.tolist()],
            )
            for title, rows in groups.items()
        ]
