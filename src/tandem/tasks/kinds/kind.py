"""What a kind of target is: what its tasks decide, count and show."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tandem.errors import DataError
from tandem.tasks.kinds.values import Floats, check_values, plain


class Tally(NamedTuple):
    """How often each channel or class was predicted, and how often it is true, among known targets.

    Attributes:
        chosen: (C,) int64.
        true: (C,) int64.
        known: (C,) int64, or a scalar where it is the same for all.
    """

    chosen: Tensor
    true: Tensor
    known: Tensor


@dataclass(frozen=True)
class Kind(ABC):
    """What tasks of one kind of target do. The defaults do nothing; `Raw` is the fallback for kinds without a class.

    A task brings a kind of its own by overriding `Task.target_kind`, mostly a subclass of `Raw` or of a known kind.

    Attributes:
        name: as losses name their kind.
        dense: whether a value is predicted for each pixel.
        answer: what a prediction says of one image.
        thresholds: whether each channel has a threshold, which the threshold sweep finds.
        exclusive: whether one class of C is predicted, so that there is a confusion matrix.
        countable: whether answers are counted among the training targets, by `count`.
        watched: whether the collapse watch counts predictions, by `tally`.
        averaged: whether the values of several runs mean the same, so that they can be averaged.
        given_share: whether `prior_bias` may be a share instead of `true`.
        ignore_index: the target that counts nowhere in a confusion matrix.
        sides: what the answers no and yes are called.
        unit: what is predicted.
    """

    name: str
    dense: bool = False
    answer: ClassVar[type["Answer"]]
    thresholds: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    countable: ClassVar[bool] = False
    watched: ClassVar[bool] = False
    averaged: ClassVar[bool] = True
    given_share: ClassVar[bool] = False
    ignore_index: ClassVar[int | None] = None
    sides: ClassVar[tuple[str, str]] = ("no", "yes")

    @property
    def unit(self) -> str:
        """What has a value of its own: a `pixel` or a `picture`."""
        return "pixel" if self.dense else "picture"

    def decide(self, probabilities: Tensor, threshold: Tensor) -> Tensor | None:
        """The decision for each row or pixel, or None where there is nothing to decide.

        Args:
            probabilities: (N, C) or (N, C, *spatial).
            threshold: (C,); unused where the kind has none.
        """
        return None

    def tally(self, probabilities: Tensor, target: Tensor, threshold: Tensor) -> Tally:
        """Counts predictions and targets of a batch; only of kinds that are `watched`.

        Args:
            probabilities: (N, C) or (N, C, *spatial).
            target: as the task's loss takes it.
            threshold: (C,); unused where the kind has none.
        """
        raise NotImplementedError(f"{type(self).__name__} is watched, so it needs `tally`")

    def count(self, target: Tensor, channels: int) -> Tensor:
        """How often each answer occurs among known targets, int64; only of kinds that are `countable`.

        Args:
            target: of some rows.
            channels: of the task.
        """
        raise NotImplementedError(f"{type(self).__name__} is countable, so it needs `count`")

    def prior(self, counts: Tensor) -> Tensor:
        """(C,) float64 shares from the counts of `count`; only of kinds that are `countable`."""
        raise NotImplementedError(f"{type(self).__name__} is countable, so it needs `prior`")

    def bias(self, share: float) -> float:
        """The logit with which an untrained head answers with a share; only of kinds that are `countable`."""
        raise NotImplementedError(f"{type(self).__name__} is countable, so it needs `bias`")

    def absent(self, row: Tensor, name: str) -> str:
        """What is missing, in words, where one entry of a row of the counts is 0."""
        return f"class '{name}'"

    def evaluator(self) -> type[Any] | None:
        """An own subclass of `tandem.evaluate.evaluators.Evaluator`; None: that of the nearest base class."""
        return None


@dataclass(frozen=True)
class Question:
    """What a task asks, for those who read its answers without the task.

    Attributes:
        name: of the task.
        kind: of its target.
        names: of its channels: classes, yes/no questions, mask channels, numbers.
        thresholds: where a probability counts as yes, one for each channel; empty where the kind has none.
        further: the task's `answer_from`, where it has one: probabilities of one image to named plain values.
        further_columns: the names that it gives.
    """

    name: str
    kind: Kind
    names: tuple[str, ...]
    thresholds: tuple[float, ...] = ()
    further: Callable[[Tensor], Mapping[str, Any]] | None = field(default=None, compare=False)
    further_columns: tuple[str, ...] = ()

    def prefix(self, name: str) -> str:
        """What precedes the cells of a channel: nothing, where there is only one."""
        return "" if len(self.names) == 1 else f"{name}."

    @property
    def columns(self) -> list[str]:
        """Columns of a table of predictions, without the task's name."""
        return list(dict.fromkeys([*self.kind.answer.columns(self), *self.further_columns]))

    @property
    def masks(self) -> tuple[str, ...]:
        """Names of the masks that are written for an image; that of a single one is empty."""
        answer = self.kind.answer
        return answer.channels(self) if issubclass(answer, DenseAnswer) else ()

    def read(self, values: Floats) -> "Answer":
        """The answer for one image.

        Args:
            values: (K,) or (K, height, width).

        Raises:
            ConfigError: another number of values than names.
        """
        check_values(self.name, self.names, (1, *values.shape))
        return self.kind.answer(self, values)

    def further_cells(self, values: Floats) -> dict[str, Any]:
        """What the task's own `answer_from` makes of an image's values; empty where it has none.

        Args:
            values: (K,) or (K, height, width).

        Raises:
            DataError: other names than those of `further_columns`.
        """
        if self.further is None:
            return {}
        found = self.further(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
        if tuple(found) != self.further_columns:
            raise DataError(
                f"answer_from of task '{self.name}' gives {', '.join(found) or 'nothing'} here and "
                f"{', '.join(self.further_columns) or 'nothing'} elsewhere; give the same names for every image"
            )
        return {name: plain(value) for name, value in found.items()}

    @property
    def description(self) -> dict[str, Any]:
        """What an exported file says of the task."""
        return {
            "kind": self.kind.name,
            "of each": self.kind.unit,
            "channels": list(self.names),
            "threshold": [round(value, 6) for value in self.thresholds] if self.kind.thresholds else None,
        }


@dataclass(frozen=True, eq=False)
class Answer(ABC):
    """A task's answer for one image.

    Attributes:
        question: that it answers.
        values: (K,) or, of each pixel, (K, height, width) float32: probabilities, numbers, or a vector.
    """

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

    @property
    def row(self) -> dict[str, Any]:
        """The cells, and those that the task's own `answer_from` adds."""
        return {**self.cells, **self.question.further_cells(self.values)}


class DenseAnswer(Answer):
    """An answer that is drawn as masks."""

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
        """(height, width) by channel or class: what is drawn over the image."""
