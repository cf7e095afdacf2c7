"""The kind of yes/no tasks: questions about the whole image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tandem.tasks.kinds.binary import Binary
from tandem.tasks.kinds.kind import Answer, Question
from tandem.tasks.kinds.values import named
from tandem.utils.files import shortest


class YesNoAnswer(Answer):
    """Answers to yes/no questions about an image; `values` are (K,) probabilities."""

    @property
    def probabilities(self) -> dict[str, float]:
        """The probabilities by question."""
        return named(self.question.names, self.values)

    @property
    def answers(self) -> dict[str, bool]:
        """Whether each question's probability reaches its threshold."""
        reached = self.values >= np.array(self.question.thresholds, np.float32)
        return dict(zip(self.question.names, reached.tolist(), strict=True))

    @staticmethod
    def columns(question: Question) -> list[str]:
        """Each question's probability, answer (1: yes) and threshold."""
        return [f"{name}.{cell}" for name in question.names for cell in ("probability", "predicted", "threshold")]

    @property
    def cells(self) -> Mapping[str, Any]:
        """Each question's probability, answer (1: yes) and threshold."""
        cells: dict[str, Any] = {}
        for name, threshold in zip(self.question.names, self.question.thresholds, strict=True):
            cells[f"{name}.probability"] = self.probabilities[name]
            cells[f"{name}.predicted"] = int(self.answers[name])
            cells[f"{name}.threshold"] = shortest(threshold)
        return cells


@dataclass(frozen=True)
class YesNo(Binary):
    """C yes/no questions about each image."""

    answer: ClassVar[type[Answer]] = YesNoAnswer
