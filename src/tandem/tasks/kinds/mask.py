"""The kind of segmentation tasks: yes/no questions about each pixel."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from tandem.decisions.stages import decided
from tandem.tasks.kinds.binary import Binary
from tandem.tasks.kinds.kind import Answer, DenseAnswer, Question
from tandem.tasks.kinds.values import area
from tandem.utils.files import shortest


class MaskAnswer(DenseAnswer):
    """Foreground or background per pixel; `values` are (K, height, width) probabilities."""

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(K, height, width): whether the probability reaches its channel's threshold, or what the decision makes."""
        thresholds = np.array(self.question.thresholds, np.float32)
        if not self.question.decision.plain:
            values, at = torch.from_numpy(np.ascontiguousarray(self.values)), torch.from_numpy(thresholds)
            masks: npt.NDArray[np.bool_] = decided(values[None], at, self.question.decision)[0].numpy()
            return masks
        reached: npt.NDArray[np.bool_] = self.values >= thresholds[:, None, None]
        return reached

    @staticmethod
    def channels(question: Question) -> tuple[str, ...]:
        """Returns one name per channel."""
        return question.names if len(question.names) > 1 else ("",)

    @property
    def masks(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The masks with values 0 and 255."""
        shown = self.mask.astype(np.uint8) * np.uint8(255)
        return dict(zip(self.channels(self.question), shown, strict=True))

    @property
    def regions(self) -> Mapping[str, npt.NDArray[np.bool_]]:
        """The foreground of each channel."""
        return dict(zip(self.question.names, self.mask, strict=True))

    @staticmethod
    def columns(question: Question) -> list[str]:
        """Each channel's area in pixels, its share of the image, and the threshold."""
        cells = ("area", "share", "threshold", "file")
        return [f"{question.prefix(name)}{cell}" for name in question.names for cell in cells]

    @property
    def cells(self) -> Mapping[str, Any]:
        """Each channel's area in pixels, its share of the image, and the threshold."""
        cells: dict[str, Any] = {}
        for (name, region), threshold in zip(self.regions.items(), self.question.thresholds, strict=True):
            before = self.question.prefix(name)
            cells |= {f"{before}{key}": value for key, value in area(region).items()}
            cells[f"{before}threshold"] = shortest(threshold)
        return cells


@dataclass(frozen=True)
class Mask(Binary):
    """C yes/no questions about each pixel."""

    dense: bool = True
    answer: ClassVar[type[Answer]] = MaskAnswer
    sides: ClassVar[tuple[str, str]] = ("background", "foreground")
