"""The fallback for unknown kinds of target: values as they are, without any decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tandem.tasks.kinds.kind import Answer, Kind, Question
from tandem.tasks.kinds.values import named
from tandem.utils.files import shortest


class RawAnswer(Answer):
    """The values that the task's `probabilities` returns for an image; `values` are (K,)."""

    @property
    def numbers(self) -> dict[str, float]:
        """The values by name."""
        return named(self.question.names, self.values)

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The values."""
        return [f"{question.prefix(name)}value" for name in question.names]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The values."""
        return {f"{self.question.prefix(name)}value": value for name, value in self.numbers.items()}


class RawMapAnswer(Answer):
    """The values that the task's `probabilities` returns per pixel; `values` are (K, height, width)."""

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The mean of each map; the maps themselves are in `values`."""
        return [f"{question.prefix(name)}mean" for name in question.names]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The mean of each map."""
        means = self.values.reshape(len(self.values), -1).mean(1, dtype="float64").tolist()
        return {
            f"{self.question.prefix(name)}mean": shortest(round(mean, 6))
            for name, mean in zip(self.question.names, means, strict=True)
        }


@dataclass(frozen=True)
class Raw(Kind):
    """Values per image, of an unknown kind."""

    answer: ClassVar[type[Answer]] = RawAnswer


@dataclass(frozen=True)
class RawMap(Raw):
    """Values per pixel, of an unknown kind."""

    dense: bool = True
    answer: ClassVar[type[Answer]] = RawMapAnswer
