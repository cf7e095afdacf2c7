"""The kind of embedding tasks: a unit vector per image, close for images of one class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tandem.tasks.kinds.kind import Answer, Kind, Question
from tandem.tasks.kinds.values import Floats
from tandem.utils.files import shortest


class VectorAnswer(Answer):
    """A unit vector; `values` are (K,)."""

    @property
    def vector(self) -> Floats:
        """(K,), of length 1; a mean over flips is normalised again."""
        return self.values / np.float32(np.linalg.norm(self.values))

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The coordinates."""
        return [f"v{index}" for index in range(len(question.names))]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The coordinates."""
        return {f"v{index}": shortest(value) for index, value in enumerate(self.vector.tolist())}


@dataclass(frozen=True)
class Embedding(Kind):
    """A unit vector per image; vectors of different runs are not comparable."""

    name: str = "embedding"
    answer: ClassVar[type[Answer]] = VectorAnswer
    averaged: ClassVar[bool] = False
