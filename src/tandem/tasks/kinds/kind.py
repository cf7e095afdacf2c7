"""Base class of the kinds of target: what tasks of a kind decide, count and display."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tandem.decisions.decision import NEUTRAL, Decision
from tandem.errors import DataError
from tandem.tasks.kinds.values import Floats, check_values, plain


class Tally(NamedTuple):
    """Counts how often each channel or class was predicted and is true, among known targets.

    Attributes:
        chosen: (C,) int64.
        true: (C,) int64.
        known: (C,) int64, or a scalar if it is the same for all.
    """

    chosen: Tensor
    true: Tensor
    known: Tensor


@dataclass(frozen=True)
class Kind(ABC):
    """The behaviour of tasks of one kind of target. The defaults do nothing; `Raw` is the fallback for unknown kinds.

    A task uses a custom kind by overriding `Task.target_kind`, usually with a subclass of `Raw` or of a known kind.

    Attributes:
        name: the kind, as losses name it.
        dense: whether each pixel is predicted.
        answer: the class of an answer for one image.
        thresholds: whether each channel has a threshold, found by the threshold sweep.
        exclusive: whether one of C classes is predicted, so that a confusion matrix exists.
        countable: whether `count` can count the answers in the training targets.
        watched: whether the collapse watch counts predictions with `tally`.
        averaged: whether values of several runs are comparable, so that they can be averaged.
        given_share: whether `prior_bias` may be a share instead of `true`.
        ignore_index: the target value that a confusion matrix ignores.
        sides: names of the answers no and yes.
        unit: what one value is predicted for.
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
        """What one value is predicted for: a `pixel` or an `image`."""
        return "pixel" if self.dense else "image"

    def decide(self, probabilities: Tensor, threshold: Tensor) -> Tensor | None:
        """Returns the decision for each row or pixel, or None if the kind makes no decision.

        Args:
            probabilities: (N, C) or (N, C, *spatial).
            threshold: (C,); unused if the kind has none.
        """
        return None

    def tally(self, probabilities: Tensor, target: Tensor, threshold: Tensor) -> Tally:
        """Counts predictions and targets of a batch; required of kinds that are `watched`.

        Args:
            probabilities: (N, C) or (N, C, *spatial).
            target: as the task's loss takes it.
            threshold: (C,); unused if the kind has none.
        """
        raise NotImplementedError(f"{type(self).__name__} is watched, so it needs `tally`")

    def count(self, target: Tensor, channels: int) -> Tensor:
        """Counts how often each answer occurs among known targets, int64; required of kinds that are `countable`.

        Args:
            target: the targets of some rows.
            channels: number of channels of the task.
        """
        raise NotImplementedError(f"{type(self).__name__} is countable, so it needs `count`")

    def prior(self, counts: Tensor) -> Tensor:
        """Returns (C,) float64 shares from the result of `count`; required of kinds that are `countable`."""
        raise NotImplementedError(f"{type(self).__name__} is countable, so it needs `prior`")

    def bias(self, share: float) -> float:
        """Returns the logit that predicts a share; required of kinds that are `countable`."""
        raise NotImplementedError(f"{type(self).__name__} is countable, so it needs `bias`")

    def absent(self, row: Tensor, name: str) -> str:
        """Names the missing answer for messages, when an entry in a row of the counts is 0."""
        return f"class '{name}'"

    def evaluator(self) -> type[Any] | None:
        """Returns a subclass of `tandem.evaluate.evaluators.Evaluator`; None: that of the nearest base class."""
        return None


@dataclass(frozen=True)
class Question:
    """Describes a task, for code that has its answers but not the task.

    Attributes:
        name: name of the task.
        kind: the kind of its target.
        names: names of its channels: classes, yes/no questions, mask channels or numbers.
        thresholds: one per channel, a probability at or above it counts as yes; empty if the kind has none.
        further: the task's `answer_from`, if it has one: maps the probabilities of one image to named plain values.
        further_columns: the names that `further` returns.
        decision: what makes the answer beside the thresholds.
    """

    name: str
    kind: Kind
    names: tuple[str, ...]
    thresholds: tuple[float, ...] = ()
    further: Callable[[Tensor], Mapping[str, Any]] | None = field(default=None, compare=False)
    further_columns: tuple[str, ...] = ()
    decision: Decision = NEUTRAL

    def prefix(self, name: str) -> str:
        """Returns the column prefix of a channel; empty if there is only one channel."""
        return "" if len(self.names) == 1 else f"{name}."

    @property
    def columns(self) -> list[str]:
        """Columns of a table of predictions, without the task's name."""
        return list(dict.fromkeys([*self.kind.answer.columns(self), *self.further_columns]))

    @property
    def masks(self) -> tuple[str, ...]:
        """Names of the masks written for an image; a single mask has an empty name."""
        answer = self.kind.answer
        return answer.channels(self) if issubclass(answer, DenseAnswer) else ()

    def read(self, values: Floats) -> "Answer":
        """Returns the answer for one image.

        Args:
            values: (K,) or (K, height, width).

        Raises:
            ConfigError: if the numbers of values and names differ.
        """
        check_values(self.name, self.names, (1, *values.shape))
        return self.kind.answer(self, values)

    def further_cells(self, values: Floats) -> dict[str, Any]:
        """Returns what the task's own `answer_from` derives from an image's values; empty if it has none.

        Args:
            values: (K,) or (K, height, width).

        Raises:
            DataError: if the names differ from `further_columns`.
        """
        if self.further is None:
            return {}
        found = self.further(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
        if tuple(found) != self.further_columns:
            raise DataError(
                f"answer_from of task '{self.name}' returns {', '.join(found) or 'nothing'} here and "
                f"{', '.join(self.further_columns) or 'nothing'} elsewhere; return the same names for every image"
            )
        return {name: plain(value) for name, value in found.items()}

    @property
    def description(self) -> dict[str, Any]:
        """The task's entry in the metadata of an exported file."""
        return {
            "kind": self.kind.name,
            "of each": self.kind.unit,
            "channels": list(self.names),
            "threshold": [round(value, 6) for value in self.thresholds] if self.kind.thresholds else None,
            **({"temperature": self.decision.temperature} if self.decision.temperature != 1 else {}),
        }


@dataclass(frozen=True, eq=False)
class Answer(ABC):
    """A task's answer for one image.

    Attributes:
        question: the question that it answers.
        values: (K,) or, for dense tasks, (K, height, width) float32: probabilities, numbers, or a vector.
    """

    question: Question
    values: Floats

    @staticmethod
    @abstractmethod
    def columns(question: Question) -> list[str]:
        """Returns the names of the cells, without the task's name."""

    @property
    @abstractmethod
    def cells(self) -> Mapping[str, Any]:
        """The cells of a table row, by column."""

    @property
    def row(self) -> dict[str, Any]:
        """The cells, including those that the task's own `answer_from` adds."""
        return {**self.cells, **self.question.further_cells(self.values)}


class DenseAnswer(Answer):
    """An answer that is shown as masks."""

    @staticmethod
    def channels(question: Question) -> tuple[str, ...]:
        """Returns the names of the masks; a single mask has an empty name."""
        return ("",)

    @property
    @abstractmethod
    def masks(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """(height, width) masks as they are written to files, by the names of `channels`."""

    @property
    @abstractmethod
    def regions(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        """(height, width) regions to draw over the image, by channel or class."""
