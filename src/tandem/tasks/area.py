"""How large is it?"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.tasks.pooled import PooledTask


class AreaTask(PooledTask):
    """The lesion's area as a share of the picture, in [0, 1], for each picture.

    The target is the share of foreground among the mask's known pixels, after augmentation, so that it is that of the
    picture which the network sees; a picture whose mask is wholly missing has none. Arguments and errors: `PooledTask`.
    """

    kind: ClassVar[str] = "regression"
    target: ClassVar[str] = "mask"

    @property
    def channels(self) -> int:
        """One number."""
        return 1

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """(N, 1) shares, nan where the mask is missing."""
        mask = batch.get(self.target)
        if mask is None:
            return None
        known = (mask != MISSING_PIXEL).flatten(1).sum(1, keepdim=True)
        lesion = (mask == 1).flatten(1).sum(1, keepdim=True)
        return torch.where(known > 0, lesion / known.clamp(min=1), torch.nan)

    def labelled(self, target: Tensor) -> Tensor:
        """Rows whose share is known."""
        return ~target.isnan().any(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """The predicted shares, as they are."""
        return logits
