r"""Penalties on the size of chosen parameters: part of what is minimised, under any balance of the tasks.

A penalty does not depend on the data. Its gradient is therefore added once for each step of the optimiser, to what the
balance made of the tasks' gradients and before these are clipped: no balance sees it, and neither the accumulation of
batches nor the scale of half precision changes its strength.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.losses.validation import inside
from tandem.optim.param_groups import Named, select


class Penalty(ABC):
    r"""\(\lambda \sum_i c(w_i)\) over the elements of chosen parameters.

    Args:
        weight: \(\lambda\), above 0.
        parameters: names of parameters or of parts (`network.decoder`, `tasks.segmentation.head`), or patterns such as
            `network.*.weight`.

    Raises:
        ConfigError: a weight out of range, no parameters.
    """

    def __init__(self, weight: float, parameters: Sequence[str]) -> None:
        self.weight = inside("weight", weight, 0.0, float("inf"), {0.0: "do nothing"}, "give a number above 0")
        self.parameters = [parameters] if isinstance(parameters, str) else list(parameters)
        if not self.parameters:
            raise ConfigError("parameters is empty; name some, such as [network.decoder]")

    @abstractmethod
    def cost(self, parameter: Tensor) -> Tensor:
        r"""The sum of \(c(w_i)\) over a parameter's elements, a scalar."""


class L1(Penalty):
    r"""\(\lambda \sum_i |w_i|\), which drives weights to exactly 0 one by one. Arguments and errors: `Penalty`.

    Its gradient is \(\lambda\) times the sign of the weight, and 0 at 0.

    Source: Tibshirani, Regression Shrinkage and Selection via the Lasso, 1996.
    """

    def cost(self, parameter: Tensor) -> Tensor:
        """The sum of absolute values."""
        return parameter.abs().sum()


class L2(Penalty):
    r"""\(\lambda \sum_i w_i^2\), which shrinks large weights most. Arguments and errors: `Penalty`.

    Its gradient is \(2 \lambda w\); an adaptive optimiser rescales it like any other gradient, unlike AdamW's decay.

    Source: Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal Problems, 1970.
    """

    def cost(self, parameter: Tensor) -> Tensor:
        """The sum of squares."""
        return parameter.square().sum()


class Penalties:
    """The penalties of a run, each with its parameters.

    Args:
        penalties: by the name under which each is logged.
        named: every parameter, with the module's names.

    Raises:
        ConfigError: a name or pattern that matches no parameter.
    """

    def __init__(self, penalties: Mapping[str, Penalty], named: Named) -> None:
        listed = list(named)
        self.penalties = dict(penalties)
        self.chosen: dict[str, list[nn.Parameter]] = {
            name: list(select(penalty.parameters, listed, f"penalties.{name}.parameters").values())
            for name, penalty in penalties.items()
        }

    def add_gradients(self, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Add the penalties' gradients to `.grad` of every chosen parameter, once for each step of the optimiser.

        Args:
            optimizer: about to take its step. If no parameter has a gradient, no task had a target, and nothing is
                added.

        Returns:
            Each penalty, times its weight, under its logged name; scalars.
        """
        if all(parameter.grad is None for group in optimizer.param_groups for parameter in group["params"]):
            return {}
        return {f"train/penalty/{name}": self._add(self.penalties[name], some) for name, some in self.chosen.items()}

    def _add(self, penalty: Penalty, chosen: Sequence[nn.Parameter]) -> Tensor:
        trained = [parameter for parameter in chosen if parameter.requires_grad]
        if not trained:
            return chosen[0].new_zeros(())
        with torch.enable_grad():
            value = penalty.weight * torch.stack([penalty.cost(parameter) for parameter in trained]).sum()
        gradients = torch.autograd.grad(value, trained)
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return value.detach()
