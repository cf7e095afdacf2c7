"""Evaluates binary segmentation: overlap against threshold and lesion size, tables by class, and cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tandem.decisions.stages import stages
from tandem.evaluate.bootstrap import BootstrapSamples, estimate
from tandem.evaluate.decided_table import DecidedCounts
from tandem.evaluate.evaluators.channel import COLUMNS, Channel, MaskMeasure, overlap, scored_dice
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.evaluators.native import CELLS as NATIVE_CELLS
from tandem.evaluate.evaluators.native import NativeChannels
from tandem.evaluate.findings import Drawing, Findings, Score, ScoreTable, Shown
from tandem.evaluate.mask_files import file_name, write_mask
from tandem.evaluate.report import figures
from tandem.evaluate.risk import Risk
from tandem.evaluate.risk.confidence import MEASURED, QUALITY, mask_confidences
from tandem.metrics.catalogue import CATALOGUE
from tandem.tasks import Task, TaskOutput
from tandem.tasks.kinds import Kind, Mask
from tandem.utils.files import shortest
from tandem.utils.resampling import Statistic

if TYPE_CHECKING:
    from tandem.evaluate.case_viewer import CaseViewer
    from tandem.evaluate.split import Split

OF_CLASS = (
    "dice_lesion", "iou_lesion", "dice_global", "recall", "precision", "area_bias", "lesion_f1", "specificity_empty",
)  # fmt: skip
"""Metrics of each class of image in the table."""

POLICY = {
    "skip": "Images without lesion have no Dice or IoU and are left out of means per image",
    "score": "Images without lesion are left out of means per lesion image; in the official mean per image they score "
    "1 if the predicted mask is empty and 0 otherwise",
}

AREAS = ("area_true", "area_predicted")
"""Counts of pixels that are given in square millimetres too, where the size of pixels is known."""

SHARE = "'predicted empty' is the share of these images with an empty predicted mask"


class Masks(Evaluator):
    """Evaluates C yes/no questions about each pixel. See `Evaluator` for the arguments."""

    of: ClassVar[type[Kind]] = Mask

    def __init__(self, task: Task, split: "Split", folder: Path | None) -> None:
        super().__init__(task, split, folder)
        settings = split.sweep.of_task.get(task.name, split.sweep.settings)
        self.channels = [Channel(threshold, settings) for threshold in task.threshold.tolist()]
        self.decided = DecidedCounts(task)
        self.sure: list[list[float]] = [[] for _ in self.channels]
        self.native = NativeChannels(task, split) if NativeChannels.is_wanted(task, split) else None

    @property
    def columns(self) -> Sequence[str]:
        """Counts, overlap, confidence of each channel, those of the files, areas in mm2 if known, path of the mask."""
        prefixes = [self._prefix(c) for c in range(len(self.channels))]
        sized = [f"{name}_mm2" for name in AREAS] if self.split.samples.spacing is not None else []
        more = [*sized, *(NATIVE_CELLS if self.native else ()), *(["file"] if self.folder else [])]
        return [f"{prefix}{cell}" for prefix in prefixes for cell in (*COLUMNS, "confidence", *more)]

    def _prefix(self, c: int) -> str:
        return "" if len(self.channels) == 1 else f"{self.task.class_names[c]}."

    def read(self, output: TaskOutput, images: Images) -> list[Mapping[str, Any]]:
        """Counts pixels and lesions; writes the predicted masks."""
        made = stages(output.probabilities, self.task.threshold, self.task.decision)
        drawn = list(made.values())[-1].cpu().numpy()
        self.decided.see(made, output.probabilities, output.target)
        rows: list[dict[str, Any]] = [{} for _ in images.ids]
        for c, channel in enumerate(self.channels):
            cells = channel.see(output.probabilities[:, c], output.target[:, c], drawn[:, c])
            empty = channel.goal.empty
            sure = mask_confidences(output.probabilities[:, c], drawn[:, c], output.target[:, c], empty)
            self.sure[c] += sure
            for place, (row, found) in enumerate(zip(rows, cells, strict=True)):
                row |= {f"{self._prefix(c)}{key}": value for key, value in found.items()}
                row[f"{self._prefix(c)}confidence"] = shortest(sure[place])
                if output.spacing is not None:
                    pixel = float(output.spacing[place].double().prod())
                    row |= {f"{self._prefix(c)}{name}_mm2": shortest(found[name] * pixel) for name in AREAS}
                if self.folder is not None:
                    name = file_name(self.task.name, images.ids[place], self._prefix(c).rstrip("."))
                    write_mask(self.folder / name, drawn[place, c])
                    row[f"{self._prefix(c)}file"] = name
        if self.native is not None:
            for row, own in zip(rows, self.native.see(output, images.ids), strict=True):
                row |= {f"{self._prefix(c)}{key}": value for c, cells in enumerate(own) for key, value in cells.items()}
        return list(rows)

    def finish(self, draws: BootstrapSamples, choosing: bool) -> Findings:
        """Computes scores with intervals, over all images and for each class of image."""
        if not self.ids:
            return Findings({}, notes=["No image of this split has a mask."])
        scores: dict[str, Score] = {}
        tables, drawings = [], []
        lines: dict[str, Any] = {}
        estimates: dict[str, Any] = {}
        for c, channel in enumerate(self.channels):
            name, prefix = self.task.class_names[c], self._prefix(c).replace(".", "/")
            found = estimate(self._measure(channel), draws) | self._native(c, draws)
            scores |= {f"{prefix}{key}": score for key, score in found.items()}
            tables += [self._table(c, channel, draws), *self.decided.tables(c, channel.goal, draws)]
            lines[name] = channel.lines(draws)
            drawings += self._drawn(self._prefix(c).rstrip("."), channel, lines[name], draws.over)
            if choosing:
                estimates[name] = channel.optimism(draws)
        return Findings(scores, tables, drawings, lines, estimates, empty=self._policy(self.channels[0]))

    def risks(self) -> Sequence[Risk]:
        """See `Evaluator`. The loss is `1 - Dice`; images without lesion count as the run's own Dice counts them."""
        if not self.ids:
            return ()
        return [
            Risk(
                self._prefix(c).rstrip("."),
                np.array(self.sure[c]),
                1 - scored_dice(channel.counts, channel.goal.empty),
                QUALITY[channel.goal.empty],
                MEASURED[channel.goal.empty],
            )
            for c, channel in enumerate(self.channels)
        ]

    def measure(self) -> Statistic | None:
        """See `Evaluator`."""
        if not self.ids:
            return None
        parts = [(self._prefix(c).replace(".", "/"), self._measure(channel)) for c, channel in enumerate(self.channels)]
        return lambda weights: {f"{prefix}{key}": v for prefix, part in parts for key, v in part(weights).items()}

    def show(self, viewer: "CaseViewer", count: int) -> list[Shown]:
        """Shows the best, median and worst lesion images and the largest false positives, for each channel."""
        if not self.ids or not count:
            return []
        return [
            viewer.masks(self.task, c, title, picked)
            for c, channel in enumerate(self.channels)
            for title, picked in self._cases(channel, count).items()
            if picked
        ]

    def _policy(self, channel: Channel) -> str:
        """How images without lesion are counted."""
        return f"{POLICY[channel.goal.empty]}; over all pixels their false positives count, and {SHARE}."

    def _measure(self, channel: Channel, rows: Any = slice(None)) -> MaskMeasure:
        return MaskMeasure(channel.counts[rows], channel.goal.aggregate, channel.goal.empty)

    def _native(self, c: int, draws: BootstrapSamples, rows: Any = slice(None)) -> dict[str, Score]:
        """The scores of a channel at the size of the files; none if they are not asked for."""
        goal = self.channels[c].goal
        return {} if self.native is None else self.native.scores(c, goal.aggregate, goal.empty, draws, rows)

    def _table(self, c: int, channel: Channel, draws: BootstrapSamples) -> ScoreTable:
        """The table by class of image, and over all images."""
        classes = np.array(self.classes)
        names = [
            name for name in dict.fromkeys([*self.split.classes, *self.classes]) if name and (classes == name).any()
        ]
        groups = {name: np.flatnonzero(classes == name) for name in names} | {"all": np.arange(len(classes))}
        shown = OF_CLASS if self.native is None else (*OF_CLASS[:2], "dice_lesion_native", *OF_CLASS[2:])
        rows: list[list[str | int | float | Score]] = []
        for name, members in groups.items():
            of_members = draws.of(members)
            found = estimate(self._measure(channel, members), of_members) | self._native(c, of_members, members)
            lesions = int((channel.counts[members, 1] > 0).sum())
            rows.append([name, len(members), lesions, *(found[key] for key in shown)])
        said = "" if self.task.decision.plain else f" ({self.task.decision})"
        note = (
            f"With 95 % bootstrap intervals over {draws.over}, at threshold {channel.threshold:.3g}{said}. "
            f"{self._policy(channel)} Unlabelled pixels (255) are ignored. Area bias: (predicted - true) / true."
        )
        title = "By class of image" + (f": {self.task.class_names[c]}" if len(self.channels) > 1 else "")
        return ScoreTable(
            title, ["class", "images", "with lesion", *(CATALOGUE[key].column_label for key in shown)], rows, note
        )

    def _drawn(self, name: str, channel: Channel, line: Mapping[str, Any], over: str) -> list[Drawing]:
        prefix = f"{name}: " if name else ""
        dice, _ = overlap(channel.counts)
        area = channel.counts[:, 1] / np.maximum(channel.counts[:, 0], 1)
        ranking = {name or self.task.name: line["ranking"]} if "ranking" in line else {}
        points = {name or self.task.name: line["operating"]} if "operating" in line else {}
        per_image = {f"image_{key}": value for key, value in line["sweep_per_image"].items()}
        labels = {"dice": CATALOGUE["dice_global"].curve, "image_dice": CATALOGUE["dice_lesion"].curve}
        return [
            Drawing(
                figures.sweep({**line["sweep_global"], **per_image}, labels, channel.threshold, "Dice"),
                f"{prefix}Dice against threshold, with 95 % bootstrap interval over {over}",
            ),
            Drawing(
                figures.against_size(area, dice, self.classes, self.split.classes),
                f"{prefix}Dice of each lesion image against its size",
            ),
            Drawing(
                figures.roc(ranking, points),
                f"{prefix}ROC of pixels; the point: the threshold that was applied; {figures.BANDS}",
            ),
            Drawing(
                figures.precision_recall(ranking, points), f"{prefix}Precision and recall of pixels; {figures.BANDS}"
            ),
            Drawing(
                figures.reliability({"pixels": line["reliability"]}), f"{prefix}Reliability of pixels; {figures.BANDS}"
            ),
        ]

    def _cases(self, channel: Channel, count: int) -> dict[str, list[tuple[int, str]]]:
        """Index in the split and caption of each case, by title of the group."""
        dice, iou = overlap(channel.counts)
        scored = np.flatnonzero(~np.isnan(dice))
        scored = scored[np.argsort(-dice[scored], kind="stable")]
        middle = max(0, (len(scored) - count) // 2)
        without = np.flatnonzero(np.isnan(dice) & (channel.counts[:, 2] > 0))
        without = without[np.argsort(-channel.counts[without, 2], kind="stable")][:count]
        groups = {"Worst": scored[-count:][::-1], "Median": scored[middle : middle + count], "Best": scored[:count]}
        cases = {
            f"{title} by Dice": [
                (self.places[row], f"{self._who(row)}: Dice {dice[row]:.3f}, IoU {iou[row]:.3f}")
                for row in rows.tolist()
            ]
            for title, rows in groups.items()
            if count
        }
        cases["Without lesion, largest predicted area"] = [
            (self.places[row], f"{self._who(row)}: {channel.counts[row, 2]} pixels predicted")
            for row in without.tolist()
        ]
        return cases

    def _who(self, row: int) -> str:
        return f"{self.ids[row]}" + (f", {self.classes[row]}" if self.classes[row] else "")
