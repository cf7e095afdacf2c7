"""A balance: the task that is worst in a step counts most (a soft maximum over the losses)."""

import torch
from torch import Tensor

from tandem.balance.loss_level import LossBalance


class SoftMaximum(LossBalance):
    """Multipliers `w_t softmax(L / T)_t`.

    Args:
        weights: of each task, at least 0.
        tasks: names of the tasks.
        temperature: T, above 0; a large one weighs all tasks alike.
    """

    def __init__(self, weights: dict[str, float], tasks: tuple[str, ...], temperature: float = 1.0) -> None:
        super().__init__(weights, tasks)
        self.temperature = temperature

    def multipliers(self, values: Tensor, places: list[int]) -> Tensor:
        """(K,) for the losses of a step."""
        return self.preference[places].to(values.dtype) * torch.softmax(values / self.temperature, dim=0)
