"""Each task's own gradient, and the inner products of the gradients of a step."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

TaskGradients = dict[str, list[Tensor | None]]


def task_gradients(
    losses: Mapping[str, Tensor],
    parameters: Sequence[Tensor],
    scales: Mapping[str, Tensor] | None = None,
    keep_graph: bool = False,
) -> TaskGradients:
    """The rows of the Jacobian, `g_t = dL_t / d theta`, parameter by parameter; `.grad` is neither read nor written.

    Each task takes one backward pass through the whole graph, so that the skip connections of a U-Net, which reach the
    encoder along several paths, need no special treatment.

    Args:
        losses: scalars with a graph, by task.
        parameters: to differentiate by; those without `requires_grad` have no gradient.
        scales: scalars that multiply each task's gradient from its first operation on, as half precision needs it.
        keep_graph: whether another backward pass through the same graph follows.

    Returns:
        By task, a gradient of each parameter's shape, or None where the task does not reach the parameter.

    Example:
        >>> weight = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> bias = torch.zeros(2, requires_grad=True)
        >>> task_gradients({"a": weight.sum(), "b": (3 * weight + bias).sum()}, [weight, bias])
        {'a': [tensor([1., 1.]), None], 'b': [tensor([3., 3.]), tensor([1., 1.])]}
    """
    wanted = [index for index, parameter in enumerate(parameters) if parameter.requires_grad]
    tasks = [name for name, loss in losses.items() if loss.requires_grad] if wanted else []
    found: TaskGradients = {name: [None] * len(parameters) for name in losses}
    for name in tasks:
        gradients = torch.autograd.grad(
            losses[name],
            [parameters[index] for index in wanted],
            None if scales is None else scales[name].to(losses[name].dtype),
            retain_graph=keep_graph or name != tasks[-1],
            allow_unused=True,
        )
        for index, gradient in zip(wanted, gradients, strict=True):
            found[name][index] = gradient
    return found


def shared_parameters(gradients: Mapping[str, Sequence[Tensor | None]]) -> list[int]:
    """Indices of the parameters that at least two tasks reach: tasks can be in conflict there.

    Args:
        gradients: the result of `task_gradients`.
    """
    reached = (sum(gradient is not None for gradient in column) for column in zip(*gradients.values(), strict=True))
    return [index for index, tasks in enumerate(reached) if tasks > 1]


def gramian(rows: Sequence[Sequence[Tensor | None]]) -> Tensor:
    """Inner products of the tasks' gradients, `G[s, t] = <g_s, g_t>`: lengths, and how much tasks agree.

    Products are formed in the gradients' own precision (at least float32) and added in float64.

    Args:
        rows: one a task, of gradients parameter by parameter; None counts as 0.

    Returns:
        (T, T) float64 on the CPU.

    Example:
        >>> gramian([[torch.tensor([3.0, 4.0])], [torch.tensor([-4.0, 0.0])]])
        tensor([[ 25., -12.],
                [-12.,  16.]], dtype=torch.float64)
    """
    device = next((gradient.device for row in rows for gradient in row if gradient is not None), torch.device("cpu"))
    products = {(s, t): _inner(rows[s], rows[t], device) for s in range(len(rows)) for t in range(s + 1)}
    flat = torch.stack([products[max(s, t), min(s, t)] for s in range(len(rows)) for t in range(len(rows))])
    return flat.view(len(rows), len(rows)).cpu()


def _inner(first: Sequence[Tensor | None], second: Sequence[Tensor | None], device: torch.device) -> Tensor:
    terms = [
        torch.sum(_wide(one) * _wide(two)).double()
        for one, two in zip(first, second, strict=True)
        if one is not None and two is not None
    ]
    return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64, device=device)


def _wide(gradient: Tensor) -> Tensor:
    return gradient.float() if gradient.dtype in (torch.float16, torch.bfloat16) else gradient
