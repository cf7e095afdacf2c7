"""Balances that multiply each task's loss by a number."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from tandem.balance.balance import Balance
from tandem.errors import ConfigError


class LossBalance(Balance):
    """`L = sum_t m_t L_t`, with multipliers that follow from the step's losses and are constant in its gradient.

    A method whose scalar is not such a sum, a geometric mean for instance, has the same gradient as the sum with its
    own derivatives as multipliers; the sum is logged.
    """

    def combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum of losses times multipliers."""
        values = torch.stack([loss.detach() for loss in losses.values()])
        multipliers = self.multipliers(values, self.places(losses)).unbind()
        self.effective = dict(zip(losses, multipliers, strict=True))
        terms = [multiplier * loss for multiplier, loss in zip(multipliers, losses.values(), strict=True)]
        return sum(terms[1:], start=terms[0])

    @abstractmethod
    def multipliers(self, values: Tensor, places: list[int]) -> Tensor:
        """`m_t`, the fixed weights among them.

        Args:
            values: (K,) losses without gradient.
            places: which of the tasks these are.

        Returns:
            (K,).
        """

    def refuse_below(self, least: str, wrong: Tensor, values: Tensor, places: list[int]) -> None:
        """Raise for losses that have no logarithm.

        Args:
            least: what a loss must be, for the message.
            wrong: (K,) bool.
            values: (K,) losses.
            places: which of the tasks these are.

        Raises:
            ConfigError: if any is wrong.
        """
        if bool(wrong.any()):
            at = int(wrong.nonzero()[0])
            raise ConfigError(
                f"the balance {type(self).__name__} takes logarithms and needs losses {least}, but that of task "
                f"'{self.tasks[places[at]]}' is {float(values[at]):g}; choose another loss for it, or balance=fixed"
            )
