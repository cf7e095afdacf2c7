"""The kind of semantic segmentation tasks: one of C classes per pixel."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from tandem.data.batch import MISSING_PIXEL
from tandem.decisions.stages import decided_classes
from tandem.tasks.kinds.kind import Answer, DenseAnswer, Question
from tandem.tasks.kinds.multiclass import Multiclass
from tandem.tasks.kinds.values import area


class ClassMaskAnswer(DenseAnswer):
    """The class of each pixel; `values` are (C, height, width) probabilities that sum to 1."""

    @cached_property
    def mask(self) -> npt.NDArray[np.uint8]:
        """(height, width): index of the most probable class, or of the one that the decision gives."""
        if self.question.decision.plain:
            likeliest: npt.NDArray[np.uint8] = self.values.argmax(0).astype(np.uint8)
            return likeliest
        values = torch.from_numpy(np.ascontiguousarray(self.values))
        found: npt.NDArray[np.uint8] = decided_classes(values[None], self.question.decision)[0].numpy().astype(np.uint8)
        return found

    @property
    def masks(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The class indices."""
        return {"": self.mask}

    @property
    def regions(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        """The region of each class except the first, which is the background."""
        return {name: self.mask == index for index, name in enumerate(self.question.names) if index}

    @staticmethod
    def columns(question: Question) -> list[str]:
        """The area of each class in pixels, and its share of the image."""
        return [*(f"{name}.{cell}" for name in question.names for cell in ("area", "share")), "file"]

    @property
    def cells(self) -> Mapping[str, Any]:
        """The area of each class in pixels, and its share of the image."""
        mask = self.mask
        areas = {name: area(mask == index) for index, name in enumerate(self.question.names)}
        return {f"{name}.{key}": value for name, found in areas.items() for key, value in found.items()}


@dataclass(frozen=True)
class ClassMask(Multiclass):
    """One of C classes per pixel."""

    dense: bool = True
    answer: ClassVar[type[Answer]] = ClassMaskAnswer
    ignore_index: ClassVar[int | None] = MISSING_PIXEL
