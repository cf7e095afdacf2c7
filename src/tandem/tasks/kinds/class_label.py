"""The kind of classification tasks: one of C classes per image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tandem.tasks.kinds.kind import Answer, Question
from tandem.tasks.kinds.multiclass import Multiclass
from tandem.tasks.kinds.values import named


class ClassAnswer(Answer):
    """The class of an image; `values` are (C,) probabilities that sum to 1."""

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.question.names[int(self.values.argmax())]

    @property
    def probabilities(self) -> dict[str, float]:
        """The probabilities by class."""
        return named(self.question.names, self.values)

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The predicted class, and the probability of each class."""
        return ["predicted", *(f"probability.{name}" for name in question.names)]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The predicted class, and the probability of each class."""
        return {"predicted": self.name, **{f"probability.{name}": p for name, p in self.probabilities.items()}}


@dataclass(frozen=True)
class ClassLabel(Multiclass):
    """One of C classes per image."""

    answer: ClassVar[type[Answer]] = ClassAnswer
