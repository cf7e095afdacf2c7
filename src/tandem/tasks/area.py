"""The area task: how large is the lesion?"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.tasks.pooled import PooledTask


class AreaTask(PooledTask):
    """Predicts the lesion's area as a share of the image, in [0, 1].

    The target is the share of foreground among the known pixels of the mask, after augmentation, so that it matches
    the image that the network sees. An image whose mask is missing has no target. Arguments and errors: `PooledTask`.
    """

    kind: ClassVar[str] = "regression"
    target: ClassVar[str] = "mask"

    @property
    def channels(self) -> int:
        """Always 1: one number."""
        return 1

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Returns (N, 1) shares, nan where the mask is missing."""
        mask = batch.get(self.target)
        if mask is None:
            return None
        known = (mask != MISSING_PIXEL).flatten(1).sum(1, keepdim=True)
        lesion = (mask == 1).flatten(1).sum(1, keepdim=True)
        return torch.where(known > 0, lesion / known.clamp(min=1), torch.nan)

    def labelled(self, target: Tensor) -> Tensor:
        """Marks rows whose share is known."""
        return ~target.isnan().any(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Returns the predicted shares unchanged."""
        return logits
