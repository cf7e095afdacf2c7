"""Task weights that let every loss fall at the same rate."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tandem.balance.loss_level import LossBalance
from tandem.errors import ConfigError

EPSILON = 1e-8
"""Added to losses before their logarithm, as in the authors' code."""

BETAS = (0.9, 0.999)
"""Of the Adam that moves the logits, as in the authors' code."""


class FAMO(LossBalance):
    """Fast adaptive multitask optimisation: the logarithms of all losses should fall equally fast.

    With `z = softmax(xi + log w)` over the tasks of a step and `c = 1 / sum_t (z_t / L_t)`, the multipliers are
    `m_t = W c z_t / L_t`, where `W = sum_t w_t`. After the optimiser's step the batch is computed once more; how much
    each logarithm fell, `delta_t = log L_t - log L_t'`, moves `xi` against `z_t (delta_t - sum_s z_s delta_s)` by Adam
    with weight decay: a task that fell more than the others gets less weight. The second pass keeps the statistics of
    normalisation layers as they were.

    The paper's multipliers add up to 1; here they add up to `W`, so that steps are as long as those of `fixed`.

    Source: Liu, Feng, Stone and Liu, 2023, "FAMO: fast adaptive multitask optimization"; `lr` and `weight_decay` are
    those of its Algorithm 2.

    Args:
        weights: `w_t` for each task, at least 0; where learning starts from.
        tasks: names of the tasks that are trained.
        lr: step length of Adam on the logits `xi`, at least 0.
        weight_decay: of the logits, towards 0; at least 0.

    Raises:
        ConfigError: a negative `lr` or `weight_decay`.
    """

    whole_batch: ClassVar[bool] = True
    state: Tensor
    steps: Tensor

    def __init__(
        self, weights: Mapping[str, float], tasks: tuple[str, ...], lr: float = 0.025, weight_decay: float = 1e-3
    ) -> None:
        super().__init__(weights, tasks)
        for name, value in (("lr", lr), ("weight_decay", weight_decay)):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name} is {value}, but must be a number of at least 0")
        self.lr = lr
        self.weight_decay = weight_decay
        self.register_buffer("state", torch.zeros(3, len(tasks)))  # the logits, and Adam's two moments of them
        self.register_buffer("steps", torch.zeros(len(tasks)))
        self.before: dict[str, Tensor] = {}  # losses of the batch under way

    def multipliers(self, values: Tensor, places: list[int]) -> Tensor:
        """The derivatives of `W c sum_t z_t log L_t`.

        Raises:
            ConfigError: a loss below 0.
        """
        self.refuse_below("of at least 0", values < 0, values, places)
        self.before = {self.tasks[place]: value for place, value in zip(places, values, strict=True)}
        pulls = self.shares(places).to(values.dtype) / (values + EPSILON)
        return self.preference[places].sum() * pulls / pulls.sum()

    def shares(self, places: list[int]) -> Tensor:
        """(K,) `z`."""
        return torch.softmax(self.state[0, places] + self.preference[places].log(), dim=0)

    def after_step(self, losses: Callable[[], Mapping[str, Tensor]]) -> None:
        """Moves the logits by how much each loss fell."""
        before, self.before = self.before, {}
        if len(before) < 2:
            return
        after = losses()
        fall = torch.stack([(before[name] + EPSILON).log() - (after[name] + EPSILON).log() for name in before])
        places = self.places(before)
        shares, logits = self.shares(places), self.state[0, places]
        gradient = shares * (fall - (shares * fall).sum()) + self.weight_decay * logits
        count = self.steps[places] + 1
        first = BETAS[0] * self.state[1, places] + (1 - BETAS[0]) * gradient
        second = BETAS[1] * self.state[2, places] + (1 - BETAS[1]) * gradient**2
        step = first / (1 - BETAS[0] ** count) / ((second / (1 - BETAS[1] ** count)).sqrt() + EPSILON)
        self.state[:, places] = torch.stack([logits - self.lr * step, first, second]).to(self.state.dtype)
        self.steps[places] = count
