"""How much is it: numbers for each image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tandem.tasks.kinds.kind import Answer, Kind, Question
from tandem.tasks.kinds.values import named


class NumberAnswer(Answer):
    """A number; `values` are (K,)."""

    @property
    def numbers(self) -> dict[str, float]:
        """By name."""
        return named(self.question.names, self.values)

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The number."""
        return [f"{question.prefix(name)}predicted" for name in question.names]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The number."""
        return {f"{self.question.prefix(name)}predicted": value for name, value in self.numbers.items()}


@dataclass(frozen=True)
class Number(Kind):
    """One number or more for each image."""

    name: str = "regression"
    answer: ClassVar[type[Answer]] = NumberAnswer
