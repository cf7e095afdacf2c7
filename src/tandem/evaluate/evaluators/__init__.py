"""Evaluators: one class for each kind of target. A kind without its own uses that of its nearest base class."""

from pathlib import Path
from typing import TYPE_CHECKING

from tandem.evaluate.evaluators.class_masks import ClassMasks
from tandem.evaluate.evaluators.classes import Classes
from tandem.evaluate.evaluators.evaluator import Evaluator, Images
from tandem.evaluate.evaluators.masks import Masks
from tandem.evaluate.evaluators.numbers import Numbers
from tandem.evaluate.evaluators.questions import Questions
from tandem.evaluate.evaluators.raw_values import RawValues
from tandem.evaluate.evaluators.vectors import Vectors
from tandem.tasks.kinds import Kind

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
    "RawValues",
    "Vectors",
    "evaluator_of",
    "make_evaluators",
]


EVALUATORS: tuple[type[Evaluator], ...] = (Classes, Questions, Masks, ClassMasks, Numbers, Vectors, RawValues)


def evaluator_of(kind: Kind) -> type[Evaluator]:
    """Returns a kind's own evaluator, or that of its nearest base class; `RawValues` if there is none.

    Args:
        kind: kind of a task's target.
    """
    own: type[Evaluator] | None = kind.evaluator()
    if own is not None:
        return own
    known = {evaluator.of: evaluator for evaluator in EVALUATORS}
    return next((known[base] for base in type(kind).__mro__ if base in known), RawValues)


def make_evaluators(module: "MultiTaskModule", split: "Split", folder: Path | None) -> list[tuple[str, Evaluator]]:
    """Builds an evaluator for each task.

    Args:
        module: the module, with its tasks.
        split: the split to evaluate.
        folder: output folder of masks; None: write no masks.
    """
    return [(name, evaluator_of(task.target_kind)(task, split, folder)) for name, task in module.tasks.items()]
