"""What an evaluation looks at, by kind of task: one class each."""

from pathlib import Path
from typing import TYPE_CHECKING

from tandem.evaluate.parts.class_masks import ClassMasks
from tandem.evaluate.parts.classes import Classes
from tandem.evaluate.parts.masks import Masks
from tandem.evaluate.parts.numbers import Numbers
from tandem.evaluate.parts.part import Images, Part
from tandem.evaluate.parts.questions import Questions
from tandem.evaluate.parts.vectors import Vectors

if TYPE_CHECKING:
    from tandem.evaluate.split import Split
    from tandem.module import MultiTaskModule

__all__ = ["ClassMasks", "Classes", "Images", "Masks", "Numbers", "Part", "Questions", "Vectors", "make_parts"]


def make_parts(module: "MultiTaskModule", split: "Split", folder: Path | None) -> list[tuple[str, Part]]:
    """A part for each task of a kind that one of them knows; of others there are the run's own metrics.

    Args:
        module: with its tasks.
        split: what is evaluated.
        folder: where masks go; None: nowhere.
    """
    kinds: tuple[type[Part], ...] = (Classes, Questions, Masks, ClassMasks, Numbers, Vectors)
    return [
        (name, kind(task, split, folder))
        for name, task in module.tasks.items()
        for kind in kinds
        if (kind.kind, kind.dense) == (task.kind, task.dense)
    ]
