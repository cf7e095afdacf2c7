"""Masks of each stage of a decision beside each other, with paired differences per image."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.decisions.reached import reached
from tandem.decisions.stages import RANKDICE, THRESHOLD
from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate, mean_of, ratio
from tandem.evaluate.findings import Score, ScoreTable
from tandem.metrics.objective import Objective
from tandem.metrics.overlap import dice_parts
from tandem.tasks import Task
from tandem.utils.resampling import Statistic, spread

if TYPE_CHECKING:
    from rich.console import Console

    from tandem.module import MultiTaskModule

FIXED, SWEPT = "at 0.5", "at the swept threshold"

TITLE = "Decisions"

ROWS = {
    "lesion": "Dice per image",
    "lesion.difference": "difference per image",
    "official": "Dice (official)",
    "official.difference": "difference",
    "empty": "predicted empty",
}


SHOWN = (
    ("lesion", "Dice per image"),
    ("lesion.difference", "difference"),
    ("official.difference", "difference of the official Dice"),
)
"""What the terminal shows of them, a row for each decision."""


class DecidedCounts:
    """Collects the counts of each stage of a task's decision; nothing, if it is the threshold alone.

    Args:
        task: the task, with its decision.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.kept: list[npt.NDArray[np.int64]] = []
        self.names: tuple[str, ...] = ()

    def see(self, stages: Mapping[str, Tensor], probabilities: Tensor, target: Tensor) -> None:
        """Adds a batch.

        Args:
            stages: (N, C, H, W) masks by name of the stage.
            probabilities: (N, C, H, W); a temperature does not move 0.5.
            target: (N, C, H, W) with 0, 1 and 255.
        """
        if self.task.decision.neutral:
            return
        at, swept = self.task.threshold, self.task.threshold if self.task.swept is None else self.task.swept
        masks = {FIXED: probabilities >= 0.5, SWEPT: reached(probabilities, swept), **stages}
        if torch.equal(swept, at):
            del masks[THRESHOLD]
        self.names = tuple(masks)
        known, true = (target != MISSING_PIXEL).flatten(2), (target == 1).flatten(2)
        counted = [known.sum(2), true.sum(2)]
        for mask in masks.values():
            drawn = mask.flatten(2) & known
            counted += [drawn.sum(2), (drawn & true).sum(2)]
        self.kept.append(np.stack([part.cpu().numpy() for part in counted], axis=-1))

    def tables(self, c: int, goal: Objective, draws: BootstrapSamples) -> list[ScoreTable]:
        """The table of a channel, a column for each stage; none for the threshold alone.

        Args:
            c: the channel.
            goal: the official aggregate and its policy for empty masks.
            draws: bootstrap samples of the images.
        """
        if not self.kept:
            return []
        counts = np.concatenate(self.kept)[:, c]
        of_channel = f": {self.task.class_names[c]}" if self.task.channels > 1 else ""
        measure = StageMeasure(counts, self.names, goal)
        return [measure.table(f"{TITLE}{of_channel}", self._note(c, draws), draws)]

    def _note(self, c: int, draws: BootstrapSamples) -> str:
        decision = self.task.decision
        parts = [
            f"Each column but the first changes the mask of the one before. Differences are to '{SWEPT}', image by "
            f"image, with 95 % bootstrap intervals over {draws.over}. Threshold: {float(self.task.threshold[c]):.3g}. "
            "Dice per image: over images with a lesion; 'predicted empty': share of those without."
        ]
        if decision.rule == RANKDICE:
            parts.append("rankdice: the mask with the highest expected Dice (Dai and Li, 2023).")
        if decision.steps:
            steps = ", then ".join(map(str, decision.steps[c])) or "no step helped"
            gain = f"{decision.gains[c]:+.4f} there" if decision.gains else ""
            parts.append(f"Post-processing chosen on {decision.images} validation images: {steps} ({gain}).")
        return " ".join(parts)


class StageMeasure:
    """Dice of each stage, and its difference to the threshold, as a function of the weight of each image.

    Args:
        counts: (M, 2 + 2 S): known pixels, true ones, then drawn ones and hits of each stage.
        names: names of the stages.
        goal: the official aggregate.
        base: the stage that differences are to.
    """

    def __init__(
        self, counts: npt.NDArray[np.int64], names: tuple[str, ...], goal: Objective, base: str = SWEPT
    ) -> None:
        self.names, self.goal, self.base = names, goal, base
        self.counts = counts.astype(np.float64)
        self.true = self.counts[:, 1]
        self.without = (self.true == 0) & (self.counts[:, 0] > 0)

    def __call__(self, weights: Array) -> dict[str, Array]:
        """(R,) values by stage and name, for (R, M) weights."""
        found: dict[str, Array] = {}
        for index, name in enumerate(self.names):
            drawn, hits = self.counts[:, 2 + 2 * index], self.counts[:, 3 + 2 * index]
            per_image = ratio(*dice_parts(hits, drawn, self.true), known=self.true)
            nothing = np.where(self.without, (drawn == 0).astype(np.float64), np.nan)
            found[f"{name}/lesion"] = mean_of(weights, per_image)
            found[f"{name}/empty"] = mean_of(weights, nothing)
            if self.goal.aggregate == "global":
                part, both = dice_parts(hits, drawn, self.true)
                found[f"{name}/official"] = ratio(weights @ part, weights @ both, known=weights @ self.true)
            else:
                scored = np.where(self.without, nothing, per_image) if self.goal.empty == "score" else per_image
                found[f"{name}/official"] = mean_of(weights, scored)
        return found

    def table(self, title: str, note: str, draws: BootstrapSamples) -> ScoreTable:
        """The table of `ROWS`, a column for each stage.

        Args:
            title: of the table.
            note: below it.
            draws: bootstrap samples of the images.
        """
        found = {**estimate(self, draws), **paired(self.differences, draws)}
        rows: list[list[str | int | float | Score]] = [
            [
                label,
                *("" if name == self.base and "difference" in key else found[f"{name}/{key}"] for name in self.names),
            ]
            for key, label in ROWS.items()
        ]
        return ScoreTable(title, ["", *self.names], rows, note)

    def differences(self, weights: Array) -> dict[str, Array]:
        """(R,) differences to `base`, by stage and name, for (R, M) weights."""
        of = self(weights)
        pairs = [(name, key) for name in self.names for key in ("lesion", "official")]
        return {f"{name}/{key}.difference": of[f"{name}/{key}"] - of[f"{self.base}/{key}"] for name, key in pairs}


def paired(differences: Statistic, draws: BootstrapSamples) -> dict[str, Score]:
    """Differences on all images, with expanded percentile intervals; both sides are of the same images.

    A difference may lie below 0, so it is neither a share nor a logit, which `estimate` would make of some.

    Args:
        differences: maps weights of the images to values.
        draws: bootstrap samples of the images.
    """
    whole = differences(np.ones((1, len(draws.groups))))
    drawn = [differences(weights) for weights in draws.weights()]
    ends = {name: spread(np.concatenate([part[name] for part in drawn]), draws.units) for name in whole}
    return {name: Score(float(value[0]), *map(float, ends[name])) for name, value in whole.items()}


def as_decided(
    metrics: Mapping[str, float], scores: Mapping[str, Score], module: "MultiTaskModule", split: str
) -> dict[str, float]:
    """The run's own metrics, which the sweep computes at the threshold, with those of the decided masks in their place.

    Args:
        metrics: by logged name.
        scores: of the masks as they were decided, by logged name.
        module: the run's module, with its decisions.
        split: the evaluated split.
    """
    found = dict(metrics)
    for name, task in module.tasks.items():
        if task.decision.plain:
            continue
        for key in [key for key in metrics if key.startswith(f"{split}/{name}/")]:
            of_channels = [f"{split}/{name}/{one}/{key.rpartition('/')[2]}" for one in task.class_names]
            if key in scores:
                found[key] = scores[key].value
            elif key.count("/") == 2 and all(one in scores for one in of_channels):  # the mean over channels
                known = [value for one in of_channels if not math.isnan(value := scores[one].value)]
                found[key] = math.fsum(known) / len(known) if known else math.nan
    return found


def print_decided(console: "Console", evaluation: Mapping[str, Any]) -> None:
    """Prints the table of decisions of each task.

    Args:
        console: where to.
        evaluation: content of `metrics.json`.
    """
    from rich.table import Table

    from tandem.reports.table import format_value
    from tandem.utils.console import escape
    from tandem.utils.terminal_table import print_table

    for name, tables in evaluation["tables"].items():
        for one in tables:
            if not one["title"].startswith(TITLE) or name not in evaluation.get("decided", {}):
                continue
            shown = Table(title=escape(f"{name}: {one['title']}"))
            for head in ("decision", *[label for _, label in SHOWN]):
                left = head == "decision"
                shown.add_column(head, justify="left" if left else "right", min_width=9 if left else 16)
            rows = {row[0]: row[1:] for row in one["rows"]}
            for index, stage in enumerate(one["head"][1:]):
                shown.add_row(stage, *(_cell(rows[ROWS[key]][index], format_value) for key, _ in SHOWN))
            print_table(shown, console)


def _cell(value: Any, text: Any) -> str:
    if isinstance(value, str):
        return value
    middle, low, high = value
    return f"{text(middle)}\n{text(low)} to {text(high)}" if not _undefined(low) else str(text(middle))


def _undefined(value: float | None) -> bool:
    return value is None or math.isnan(value)
