"""Answers that are drawn, and which class of answer belongs to a question."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tandem.errors import ConfigError
from tandem.predict.answers import Answer, ClassAnswer, NumberAnswer, Question, VectorAnswer, YesNoAnswer
from tandem.utils.files import shortest


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


def _area(region: npt.NDArray[np.bool_]) -> dict[str, Any]:
    pixels = int(region.sum())
    return {"area": pixels, "share": round(pixels / region.size, 6)}
