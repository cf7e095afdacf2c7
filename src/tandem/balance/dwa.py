"""Task weights from how fast each loss falls."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tandem.balance.loss_level import LossBalance
from tandem.errors import ConfigError


class DWA(LossBalance):
    """Dynamic weight average: a task whose loss falls slowly gets more weight in the next epoch.

    `m_t = w_t K exp(r_t / T) / sum_s exp(r_s / T)` over the K tasks of a step, where `r_t` is the task's mean loss of
    the last epoch divided by that of the epoch before; 1 until there are two.

    The means are those of whole epochs, over the rows that have a target. An epoch without any leaves a task's history
    as it is.

    Source: Liu, Johns and Davison, 2019, "End-to-end multi-task learning with attention".

    Args:
        weights: `w_t` for each task, at least 0.
        tasks: names of the tasks that are trained.
        temperature: `T`, above 0; the larger, the more equal the weights.

    Raises:
        ConfigError: a temperature that is not above 0.

    Example:
        >>> balance = DWA({"a": 1.0, "b": 1.0}, ("a", "b"))
        >>> for a, b in ((4.0, 4.0), (2.0, 4.0)):
        ...     balance.on_epoch_end({"a": torch.tensor(a), "b": torch.tensor(b)})
        >>> round(balance({"a": torch.tensor(1.0), "b": torch.tensor(0.0)}).item(), 3)
        0.876
    """

    history: Tensor

    def __init__(self, weights: Mapping[str, float], tasks: tuple[str, ...], temperature: float = 2.0) -> None:
        super().__init__(weights, tasks)
        if not 0 < temperature < float("inf"):
            raise ConfigError(f"temperature is {temperature}, but must be a number above 0")
        self.temperature = temperature
        self.register_buffer("history", torch.full((2, len(tasks)), torch.nan))  # the epoch before the last, the last

    def multipliers(self, values: Tensor, places: list[int]) -> Tensor:
        """Softmax of the rates, times the number of tasks."""
        rates = self.history[1, places] / self.history[0, places]
        rates = torch.where(rates.isfinite(), rates, 1.0).to(values.dtype)
        return len(places) * torch.softmax(rates / self.temperature, dim=0) * self.preference[places]

    def on_epoch_end(self, losses: Mapping[str, Tensor]) -> None:
        """Remembers the epoch's mean losses."""
        for place, loss in zip(self.places(losses), losses.values(), strict=True):
            self.history[0, place] = self.history[1, place]
            self.history[1, place] = loss.detach()
