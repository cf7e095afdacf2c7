"""What a prediction says, by kind of task: one class each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tandem.errors import ConfigError
from tandem.files import shortest

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


class DenseAnswer(Answer):
    """An answer that is drawn."""

    dense: ClassVar[bool] = True

    @staticmethod
    def channels(question: Question) -> tuple[str, ...]:
        """Names of the masks; that of a single one is empty."""
        return ("",)

    @property
    @abstractmethod
    def masks(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """(height, width), as files hold them, by the names of `channels`."""

    @property
    @abstractmethod
    def regions(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        """(height, width) by channel or class: what is to be seen over the picture."""


class MaskAnswer(DenseAnswer):
    """Foreground or not; `values` are (K, height, width) probabilities."""

    kind: ClassVar[str] = "binary"

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(K, height, width): where the probability reaches its channel's threshold."""
        reached: npt.NDArray[np.bool_] = self.values >= np.array(self.question.thresholds, np.float32)[:, None, None]
        return reached

    @staticmethod
    def channels(question: Question) -> tuple[str, ...]:
        """One mask for each channel."""
        return question.names if len(question.names) > 1 else ("",)

    @property
    def masks(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """0 and 255."""
        shown = self.mask.astype(np.uint8) * np.uint8(255)
        return dict(zip(self.channels(self.question), shown, strict=True))

    @property
    def regions(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        """The foreground of each channel."""
        return dict(zip(self.question.names, self.mask, strict=True))

    @staticmethod
    def columns(question: Question) -> list[str]:
        """Area in pixels, its share of the picture, and threshold of each channel."""
        cells = ("area", "share", "threshold", "file")
        return [f"{question.prefix(name)}{cell}" for name in question.names for cell in cells]

    @property
    def cells(self) -> Mapping[str, Any]:
        """Area in pixels, its share of the picture, and threshold of each channel."""
        cells: dict[str, Any] = {}
        for (name, region), threshold in zip(self.regions.items(), self.question.thresholds, strict=True):
            before = self.question.prefix(name)
            cells |= {f"{before}{key}": value for key, value in _area(region).items()}
            cells[f"{before}threshold"] = shortest(threshold)
        return cells


class ClassMaskAnswer(DenseAnswer):
    """One class of each pixel; `values` are (C, height, width) probabilities that sum to 1."""

    kind: ClassVar[str] = "multiclass"

    @cached_property
    def mask(self) -> npt.NDArray[np.uint8]:
        """(height, width): index of the likeliest class."""
        likeliest: npt.NDArray[np.uint8] = self.values.argmax(0).astype(np.uint8)
        return likeliest

    @property
    def masks(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Indices of the classes."""
        return {"": self.mask}

    @property
    def regions(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        """Of each class but the first, which is the background."""
        return {name: self.mask == index for index, name in enumerate(self.question.names) if index}

    @staticmethod
    def columns(question: Question) -> list[str]:
        """Area in pixels of each class, and its share of the picture."""
        return [*(f"{name}.{cell}" for name in question.names for cell in ("area", "share")), "file"]

    @property
    def cells(self) -> Mapping[str, Any]:
        """Area in pixels of each class, and its share of the picture."""
        mask = self.mask
        areas = {name: _area(mask == index) for index, name in enumerate(self.question.names)}
        return {f"{name}.{key}": value for name, area in areas.items() for key, value in area.items()}


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


def answer_class(question: Question) -> type[Answer]:
    """What answers a question.

    Raises:
        ConfigError: a task of a kind that is not known here.
    """
    known: Sequence[type[Answer]] = (
        ClassAnswer, YesNoAnswer, MaskAnswer, ClassMaskAnswer, NumberAnswer, VectorAnswer,
    )  # fmt: skip
    for answer in known:
        if (answer.kind, answer.dense) == (question.kind, question.dense):
            return answer
    raise ConfigError(f"task '{question.name}' is of the kind {question.kind}, which has no answer to predict")


def _named(question: Question, values: Floats) -> dict[str, float]:
    return {name: shortest(value) for name, value in zip(question.names, values.tolist(), strict=True)}


def _area(region: npt.NDArray[np.bool_]) -> dict[str, Any]:
    pixels = int(region.sum())
    return {"area": pixels, "share": round(pixels / region.size, 6)}
