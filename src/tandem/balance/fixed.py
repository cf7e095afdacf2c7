"""Fixed task weights."""

from collections.abc import Mapping

from torch import Tensor

from tandem.balance.balance import Balance


class FixedWeights(Balance):
    """The weighted sum of task losses, `L = sum_t w_t L_t`, over the tasks that have a target in the step.

    With weights 1 : 1 it is the baseline that specialised methods have to beat (Kurin et al., 2022).
    """

    def combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Named scalar losses to the scalar that is minimised.

        Args:
            losses: of the tasks that have a target in this step; at least one.
        """
        return self.weighted_sum(losses)
