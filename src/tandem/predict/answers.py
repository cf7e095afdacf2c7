"""What a prediction says, by kind of task: one class each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tandem.utils.files import shortest

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    """What a task asks.

    Attributes:
        name: of the task.
        kind: of its target: `binary`, `multiclass`, `regression` or `embedding`.
        dense: whether it asks of each pixel.
        names: of its channels: classes, yes/no questions, mask channels, numbers.
        thresholds: where a probability counts as yes, one for each channel; empty for other kinds than `binary`.
    """

    name: str
    kind: str
    dense: bool
    names: tuple[str, ...]
    thresholds: tuple[float, ...] = ()

    def prefix(self, name: str) -> str:
        """What precedes the cells of a channel: nothing, where there is only one."""
        return "" if len(self.names) == 1 else f"{name}."


@dataclass(frozen=True, eq=False)
class Answer(ABC):
    """A task's answer for one picture.

    Attributes:
        question: that it answers.
        values: (K,) or, of each pixel, (K, height, width) float32: probabilities, numbers, or a vector.
    """

    kind: ClassVar[str]
    dense: ClassVar[bool]
    question: Question
    values: Floats

    @staticmethod
    @abstractmethod
    def columns(question: Question) -> list[str]:
        """Names of the cells, without that of the task."""

    @property
    @abstractmethod
    def cells(self) -> Mapping[str, Any]:
        """What a table says of it."""


class ClassAnswer(Answer):
    """One class of the picture; `values` are (C,) probabilities that sum to 1."""

    kind: ClassVar[str] = "multiclass"
    dense: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The likeliest class."""
        return self.question.names[int(self.values.argmax())]

    @property
    def probabilities(self) -> dict[str, float]:
        """By class."""
        return _named(self.question, self.values)

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The class, and a probability for each."""
        return ["predicted", *(f"probability.{name}" for name in question.names)]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The class, and a probability for each."""
        return {"predicted": self.name, **{f"probability.{name}": p for name, p in self.probabilities.items()}}


class YesNoAnswer(Answer):
    """Yes or no to questions about the picture; `values` are (K,) probabilities."""

    kind: ClassVar[str] = "binary"
    dense: ClassVar[bool] = False

    @property
    def probabilities(self) -> dict[str, float]:
        """By question."""
        return _named(self.question, self.values)

    @property
    def answers(self) -> dict[str, bool]:
        """By question, whether its probability reaches its threshold."""
        reached = self.values >= np.array(self.question.thresholds, np.float32)
        return dict(zip(self.question.names, reached.tolist(), strict=True))

    @staticmethod
    def columns(question: Question) -> list[str]:
        """Probability, answer (1: yes) and threshold of each question."""
        return [f"{name}.{cell}" for name in question.names for cell in ("probability", "predicted", "threshold")]

    @property
    def cells(self) -> Mapping[str, Any]:
        """Probability, answer (1: yes) and threshold of each question."""
        cells: dict[str, Any] = {}
        for name, threshold in zip(self.question.names, self.question.thresholds, strict=True):
            cells[f"{name}.probability"] = self.probabilities[name]
            cells[f"{name}.predicted"] = int(self.answers[name])
            cells[f"{name}.threshold"] = shortest(threshold)
        return cells


class NumberAnswer(Answer):
    """A number; `values` are (K,)."""

    kind: ClassVar[str] = "regression"
    dense: ClassVar[bool] = False

    @property
    def numbers(self) -> dict[str, float]:
        """By name."""
        return _named(self.question, self.values)

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The number."""
        return [f"{question.prefix(name)}predicted" for name in question.names]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The number."""
        return {f"{self.question.prefix(name)}predicted": value for name, value in self.numbers.items()}


class VectorAnswer(Answer):
    """A place on the unit sphere; `values` are (K,)."""

    kind: ClassVar[str] = "embedding"
    dense: ClassVar[bool] = False

    @property
    def vector(self) -> Floats:
        """(K,), of length 1: the mean over mirror images is brought back to the sphere."""
        return self.values / np.float32(np.linalg.norm(self.values))

    @staticmethod
    def columns(question: Question) -> list[str]:
        """Its coordinates."""
        return [f"v{index}" for index in range(len(question.names))]

    @property
    def cells(self) -> Mapping[str, Any]:
        """Its coordinates."""
        return {f"v{index}": shortest(value) for index, value in enumerate(self.vector.tolist())}


def _named(question: Question, values: Floats) -> dict[str, float]:
    return {name: shortest(value) for name, value in zip(question.names, values.tolist(), strict=True)}
