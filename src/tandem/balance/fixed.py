"""Fixed task weights."""

from collections.abc import Mapping

from torch import Tensor

from tandem.balance.balance import Balance
from tandem.errors import ConfigError


class FixedWeights(Balance):
    """The weighted sum of task losses, `L = sum_t w_t L_t`, over the tasks that a step has targets for.

    With weights 1 : 1 it is the baseline that the specialised methods have to beat (Kurin et al., 2022).

    Args:
        weights: `w_t` for each task, at least 0.
        tasks: names of the tasks that are trained.

    Raises:
        ConfigError: a task without weight, a weight without task, a negative weight, or none above 0.
    """

    def __init__(self, weights: Mapping[str, float], tasks: tuple[str, ...]) -> None:
        super().__init__()
        for name in tasks:
            if name not in weights:
                raise ConfigError(f"task '{name}' has no weight; give balance.weights.{name}")
        for name, weight in weights.items():
            if name not in tasks:
                raise ConfigError(f"balance.weights.{name} is for no task; there are: {', '.join(tasks)}")
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"balance.weights.{name} is {weight}, but must be a number of at least 0")
        if not any(weights.values()):
            raise ConfigError("every balance.weights is 0, so nothing would be learned")
        self.weights = {name: float(weight) for name, weight in weights.items()}

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Named scalar losses to the scalar that is minimised.

        Args:
            losses: of the tasks that have a target in this step; at least one.
        """
        terms = [self.weights[name] * loss for name, loss in losses.items()]
        return sum(terms[1:], start=terms[0])
