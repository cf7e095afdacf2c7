"""The kind of regression tasks: numbers per image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tandem.tasks.kinds.kind import Answer, Kind, Question
from tandem.tasks.kinds.values import named


class NumberAnswer(Answer):
    """Numbers for an image; `values` are (K,)."""

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers by name."""
        return named(self.question.names, self.values)

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The predicted numbers."""
        return [f"{question.prefix(name)}predicted" for name in question.names]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The predicted numbers."""
        return {f"{self.question.prefix(name)}predicted": value for name, value in self.numbers.items()}


@dataclass(frozen=True)
class Number(Kind):
    """One or more numbers per image."""

    name: str = "regression"
    answer: ClassVar[type[Answer]] = NumberAnswer
