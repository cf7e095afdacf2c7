"""Which images are alike: a place on the unit sphere for each image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tandem.tasks.kinds.kind import Answer, Kind, Question
from tandem.tasks.kinds.values import Floats
from tandem.utils.files import shortest


class VectorAnswer(Answer):
    """A place on the unit sphere; `values` are (K,)."""

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


@dataclass(frozen=True)
class Embedding(Kind):
    """A unit vector for each image; the axes of two runs mean different things."""

    name: str = "embedding"
    answer: ClassVar[type[Answer]] = VectorAnswer
    averaged: ClassVar[bool] = False
