"""Balances that combine the tasks' separate gradients."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from tandem.balance.balance import Balance
from tandem.balance.gram import Matrix, Vector, without_rounding
from tandem.balance.jacobian import TaskGradients, gramian, shared_parameters, task_gradients
from tandem.distributed.gradients import over_devices

__all__ = ["GradientBalance", "Matrix", "Vector"]


class GradientBalance(Balance):
    """`d = sum_t c_t g_t` for what the tasks share, with `c` from the inner products `G[s, t] = <g_s, g_t>`.

    A parameter is shared if at least two tasks of a step reach it: the encoder, and a decoder that serves two tasks.
    Any other one, such as a head's, gets `w_t g_t` of its own task. A task whose shared gradient is 0 takes no part; if
    one task is left, its gradient is the step: `w_t g_t`.

    All methods are scaled to the length of `fixed`'s steps, not to the scale of their papers: with weights of 1, where
    the tasks' gradients are orthogonal and equally long, they give the sum, so that one learning rate serves every
    balance. They are homogeneous: gradients twice as long give a step twice as long, so that the factors of gradient
    accumulation and of half precision pass through. Gradients that are not finite are added up as they are, so that
    checks for them still work.

    With gradient accumulation, each task's gradients are added up over the batches of a step before they are combined:
    the result is that of one large batch.

    Memory: one more copy of the gradients for each task while they are computed, and one backward pass for each task.
    `G` and `c` are in float64. Gradients that are parallel or opposite but for the rounding of float32 count as
    exactly so.

    On several devices the tasks' gradients bypass the hooks of DDP, so each task's are added up over the devices before
    they are combined, in one message of the network's size for each task. All devices then combine the same numbers.
    """

    whole_batch: ClassVar[bool] = True

    def __init__(self, weights: Mapping[str, float], tasks: tuple[str, ...]) -> None:
        super().__init__(weights, tasks)
        self.sums: TaskGradients = {}  # each task's gradients of the optimiser's step under way
        self.rest: list[Tensor | None] = []  # what was in `.grad` before it
        self.factor = 0.0  # of the loss in that step: gradient accumulation's and half precision's, added up
        self.scale = 1.0  # of the products, beyond a trace of T and without that factor

    @abstractmethod
    def coefficients(self, products: Matrix, weights: Vector, names: tuple[str, ...]) -> Vector:
        """`c_t`, the fixed weights among them.

        Args:
            products: (T, T) inner products of the tasks' shared gradients, scaled to a trace of T; no task's is 0.
            weights: (T,) fixed weights, all above 0.
            names: of the T >= 2 tasks.

        Returns:
            (T,).
        """

    def own_weights(self, names: Sequence[str]) -> dict[str, float]:
        """Factor of the gradients of parameters that only one task reaches: `w_t`, times what is learned."""
        return {name: self.weights[name] for name in names}

    def combine(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return self.weighted_sum(losses)

    def backward(
        self, loss: Tensor, losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter], accumulate: bool = False
    ) -> None:
        """Combine the gradients and add the result to `.grad`."""
        counted = {name: value for name, value in self.counted(losses).items() if value.requires_grad}
        if not counted:
            super().backward(loss, losses, parameters, accumulate)
            return
        if all(parameter.grad is None for parameter in parameters) or not self.sums:
            self.sums, self.rest = {}, [parameter.grad for parameter in parameters]
            self.factor = 0.0
        weights = torch.autograd.grad(loss, list(counted.values()), retain_graph=True)
        scales = {name: weight / self.weights[name] for name, weight in zip(counted, weights, strict=True)}
        self.factor += float(next(iter(scales.values())))
        found = {name: over_devices(row) for name, row in task_gradients(counted, parameters, scales).items()}
        self.sums = _add(self.sums, found)
        for parameter, rest, step in zip(parameters, self.rest, self._step(), strict=True):
            parameter.grad = rest if step is None else step if rest is None else rest + step
        if not accumulate:
            self.sums, self.rest = {}, []

    def _step(self) -> list[Tensor | None]:
        """Each parameter's gradient from those of the tasks."""
        shared = shared_parameters(self.sums)
        rows = {name: [row[index] for index in shared] for name, row in self.sums.items()}
        own = self.own_weights(tuple(rows))
        taken = self._weigh(rows, own) if shared else own
        self.effective = dict(taken)
        places = set(shared)
        columns = enumerate(_columns(self.sums))
        return [_weighted(column, taken if index in places else own) for index, column in columns]

    def _weigh(self, rows: Mapping[str, Sequence[Tensor | None]], own: Mapping[str, float]) -> dict[str, float]:
        """Factor of each task's shared gradient; that of its own parameters where there is nothing to combine."""
        products = gramian(list(rows.values())).numpy()
        lengths = np.diag(products)
        taking_part = np.flatnonzero(lengths)
        names = tuple(name for name, length in zip(rows, lengths, strict=True) if length != 0)
        found = np.array([own[name] for name in names])
        if len(names) > 1 and np.isfinite(products).all():
            scaled = products[np.ix_(taking_part, taking_part)] * (len(names) / lengths.sum())
            self.scale = float(lengths.sum()) / len(names) / self.factor**2
            found = self.coefficients(without_rounding(scaled), np.array([self.weights[name] for name in names]), names)
        return {**dict.fromkeys(rows, 0.0), **dict(zip(names, found.tolist(), strict=True))}


def _columns(rows: Mapping[str, Sequence[Tensor | None]]) -> list[dict[str, Tensor]]:
    """Parameter by parameter, the gradients of the tasks that reach it."""
    return [
        {name: gradient for name, gradient in zip(rows, column, strict=True) if gradient is not None}
        for column in zip(*rows.values(), strict=True)
    ]


def _weighted(column: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor | None:
    terms = [weights[name] * gradient for name, gradient in column.items()]
    return sum(terms[1:], start=terms[0]) if terms else None


def _add(sums: TaskGradients, found: TaskGradients) -> TaskGradients:
    """The gradients of a further batch added to those of the ones before."""
    if not sums:
        return found
    total = {name: list(row) for name, row in sums.items()}
    for name, row in found.items():
        known = total.get(name, [None] * len(row))
        total[name] = [
            one if two is None else two if one is None else one + two for one, two in zip(known, row, strict=True)
        ]
    return total
