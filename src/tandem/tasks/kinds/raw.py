"""The fallback for kinds of target that tandem does not know: values as they are, and nothing that is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tandem.tasks.kinds.kind import Answer, Kind, Question
from tandem.tasks.kinds.values import named
from tandem.utils.files import shortest


class RawAnswer(Answer):
    """Values of the image as the task's `probabilities` gives them; `values` are (K,)."""

    @property
    def numbers(self) -> dict[str, float]:
        """By name."""
        return named(self.question.names, self.values)

    @staticmethod
    def columns(question: Question) -> list[str]:
        """Each value."""
        return [f"{question.prefix(name)}value" for name in question.names]

    @property
    def cells(self) -> Mapping[str, Any]:
        """Each value."""
        return {f"{self.question.prefix(name)}value": value for name, value in self.numbers.items()}


class RawMapAnswer(Answer):
    """Values of each pixel as the task's `probabilities` gives them; `values` are (K, height, width)."""

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
    """Values of an image of which nothing more is known."""

    answer: ClassVar[type[Answer]] = RawAnswer


@dataclass(frozen=True)
class RawMap(Raw):
    """Values of each pixel of which nothing more is known."""

    dense: bool = True
    answer: ClassVar[type[Answer]] = RawMapAnswer
