"""Runs a module on shapes alone: nothing is computed, and nothing in the module changes."""

from typing import Any

import torch
from torch import Tensor, nn


def dry_run(module: nn.Module, *given: Any) -> Any:
    """The result of a module as tensors without values, on PyTorch's device `meta`.

    Layers that check shapes raise as they would with values. Parameters, buffers and the random state stay as they are.

    Args:
        module: in the mode, training or evaluation, that is to be tried.
        given: its arguments: tensors, and lists of tensors.

    Raises:
        Exception: what the module raises; also for modules that cannot run without values.

    Example:
        >>> dry_run(nn.Conv2d(1, 4, 3), torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 4, 6, 6])
    """
    tensors = [*module.named_parameters(), *module.named_buffers()]
    empty = {name: torch.empty_like(tensor, device="meta", requires_grad=False) for name, tensor in tensors}
    arguments = tuple(_moved(argument) for argument in given)
    with torch.random.fork_rng(devices=[]):
        return torch.func.functional_call(module, empty, arguments)


def used(module: nn.Module, levels: list[Tensor]) -> list[bool]:
    """Whether the result of a module depends on each map of a list; true for all if that cannot be told.

    Args:
        module: maps the list to a tensor.
        levels: the maps; those without values count as used.
    """
    marked = [level.to("meta").requires_grad_(level.numel() > 0) for level in levels]
    inputs = [level for level in marked if level.requires_grad]
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.enable_grad():
            found = dry_run(module, [level.clone() for level in marked])  # some decoders write into their list
            gradients = iter(torch.autograd.grad(found.sum(), inputs, allow_unused=True))
        return [not level.requires_grad or next(gradients) is not None for level in marked]
    except Exception:  # not every module runs without values
        return [True] * len(levels)
    finally:
        for part, training in modes.items():
            part.training = training


def _moved(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_moved(one) for one in argument]
    return argument.to("meta") if isinstance(argument, Tensor) else argument
