"""The geometric mean of task losses."""

import torch
from torch import Tensor

from tandem.balance.loss_level import LossBalance


class Geometric(LossBalance):
    """The geometric mean, `L = prod_t L_t^(w_t / W)` with `W = sum_t w_t`, over the tasks of a step.

    Its gradient weighs each task by `m_t = (w_t / W) L / L_t`: units cancel, and the task that is nearly solved has
    the largest weight. Losses must be above 0, which is checked in every step.

    Source: Chennupati et al., 2019, "MultiNet++" (geometric loss strategy).

    Example:
        >>> balance = Geometric({"a": 1.0, "b": 1.0}, ("a", "b"))
        >>> round(balance({"a": torch.tensor(2.0), "b": torch.tensor(8.0)}).item(), 4)
        4.0
    """

    def multipliers(self, values: Tensor, places: list[int]) -> Tensor:
        """The derivatives of the mean by the losses.

        Raises:
            ConfigError: a loss of 0 or below.
        """
        self.refuse_below("above 0", values <= 0, values, places)
        shares = self.preference[places].to(values.dtype)
        shares = shares / shares.sum()
        return shares * torch.exp(torch.sum(shares * values.log())) / values
