"""Which class is it: one of C for each image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tandem.tasks.kinds.kind import Answer, Question
from tandem.tasks.kinds.multiclass import Multiclass
from tandem.tasks.kinds.values import named


class ClassAnswer(Answer):
    """One class of the image; `values` are (C,) probabilities that sum to 1."""

    @property
    def name(self) -> str:
        """The likeliest class."""
        return self.question.names[int(self.values.argmax())]

    @property
    def probabilities(self) -> dict[str, float]:
        """By class."""
        return named(self.question.names, self.values)

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The class, and a probability for each."""
        return ["predicted", *(f"probability.{name}" for name in question.names)]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The class, and a probability for each."""
        return {"predicted": self.name, **{f"probability.{name}": p for name, p in self.probabilities.items()}}


@dataclass(frozen=True)
class ClassLabel(Multiclass):
    """One class of C for each image."""

    answer: ClassVar[type[Answer]] = ClassAnswer
