"""Random task weights."""

import torch
from torch import Tensor

from tandem.balance.loss_level import LossBalance


class RLW(LossBalance):
    """Random loss weighting: `m_t = w_t K softmax(z)_t` with `z ~ N(0, I)` drawn for the K tasks of each step.

    The baseline that shows what a method gains over mere noise. The paper's weights add up to 1; here they are 1 on
    average, so that steps are as long as those of `fixed`. They are drawn in training only.

    Source: Lin, Ye, Zhang and Tsang, 2022, "Reasonable effectiveness of random weighting".
    """

    def multipliers(self, values: Tensor, places: list[int]) -> Tensor:
        """Draws on the CPU, so that a seed gives the same weights on every device."""
        drawn = len(places) * torch.softmax(torch.randn(len(places)), dim=0)
        return drawn.to(values) * self.preference[places]
