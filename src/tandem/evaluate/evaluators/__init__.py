"""What an evaluation looks at, by kind of task: one class each."""

from pathlib import Path
from typing import TYPE_CHECKING

from tandem.evaluate.evaluators.class_masks import ClassMasks
from tandem.evaluate.evaluators.classes import Classes
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.evaluators.masks import Masks
from tandem.evaluate.evaluators.numbers import Numbers
from tandem.evaluate.evaluators.questions import Questions
from tandem.evaluate.evaluators.vectors import Vectors

if TYPE_CHECKING:
    from tandem.evaluate.split import Split
    from tandem.module import MultiTaskModule

__all__ = [
    "ClassMasks",
    "Classes",
    "Evaluator",
    "Images",
    "Masks",
    "Numbers",
    "Questions",
    "Vectors",
    "make_evaluators",
]


def make_evaluators(module: "MultiTaskModule", split: "Split", folder: Path | None) -> list[tuple[str, Evaluator]]:
    """A part for each task of a kind that one of them knows; of others there are the run's own metrics.

    Args:
        module: with its tasks.
        split: what is evaluated.
        folder: where masks go; None: nowhere.
    """
    kinds: tuple[type[Evaluator], ...] = (Classes, Questions, Masks, ClassMasks, Numbers, Vectors)
    return [
        (name, kind(task, split, folder))
        for name, task in module.tasks.items()
        for kind in kinds
        if (kind.kind, kind.dense) == (task.kind, task.dense)
    ]
