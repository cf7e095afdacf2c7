"""Gathering of a batch over the devices of a run, so that each device sees the whole batch.

Each device passes its rows through the network. Then all devices get the logits and targets of all rows, and each
computes the same losses and balance of the whole batch. So a loss need not be a mean over rows, and rows
without a target have no influence. The gradient flows back through the device's own rows; the sum over the devices is
that of the whole batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tandem.utils.seeding import seed_generators

NOT_TARGETS = ("image", "draw")
"""Entries of a batch that are not gathered."""


def get_rank() -> int:
    """Rank of this process among the run's devices, from 0."""
    return dist.get_rank() if is_distributed() else 0


def is_distributed() -> bool:
    """Whether the run uses several devices."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather_logits(
    logits: Mapping[str, Tensor], batch: Mapping[str, Any]
) -> tuple[Mapping[str, Tensor], Mapping[str, Any], range]:
    """The logits and targets of all devices' rows, in the order of the devices.

    Args:
        logits: (n, ...) by task, of this device's n rows, which may differ in number between devices.
        batch: this device's rows.

    Returns:
        (N, ...) logits of N rows with a gradient to this device's, the batch with the targets of all, and which of the
        rows are this device's.
    """
    some = next(iter(logits.values()))
    own = torch.tensor([len(some)], device=some.device)
    counts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, own)
    rows = [int(count) for count in counts]
    gathered = {name: _gathered(value, rows) for name, value in logits.items()}
    first = sum(rows[: dist.get_rank()])
    return gathered, _targets(batch, rows), range(first, first + len(some))


def mean_over_devices(value: Tensor) -> Tensor:
    """The mean of a value over the devices, without gradient; on one device, the value itself."""
    if not is_distributed():
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


@contextmanager
def per_rank_rng() -> Iterator[None]:
    """Random numbers that differ between devices, for draws by row (dropout); afterwards all draw the same again."""
    if not is_distributed():
        yield
        return
    state, seed = torch.get_rng_state(), torch.initial_seed()
    if dist.get_rank():
        seed_generators((seed + 0x9E3779B97F4A7C15 * dist.get_rank()) % 2**63)
    yield
    seed_generators(seed)  # of the generators of all devices; the CPU's may have drawn numbers before
    torch.set_rng_state(state)


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """Run the block on rank 0 first, so that other ranks find what it writes, and an error occurs once."""
    if is_distributed() and dist.get_rank():
        dist.barrier()
    yield
    if is_distributed() and not dist.get_rank():
        dist.barrier()


def no_loss(parameters: Iterator[nn.Parameter]) -> Tensor:
    """A loss of 0 for a batch without any target, since every rank must take part in every backward pass."""
    return 0 * next(parameter for parameter in parameters if parameter.requires_grad).sum()


def backward_noop(loss: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Take part in the backward pass of all ranks; parameters without gradient keep none, so that the step skips them.

    Args:
        loss: `no_loss`.
        parameters: of the module.
    """
    untouched = [parameter for parameter in parameters if parameter.grad is None]
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in untouched:
        parameter.grad = None


class _Gather(torch.autograd.Function):
    """Rows of all devices; backward gives the gradient of the own rows, times the devices, since DDP averages later."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, rows: Sequence[int]) -> Tensor:
        ctx.rows = rows
        return all_rows(own, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        place = dist.get_rank()
        return torch.split(gradients[0], ctx.rows)[place] * len(ctx.rows), None


def _gathered(own: Tensor, rows: Sequence[int]) -> Tensor:
    return _Gather.apply(own, rows) if own.requires_grad else all_rows(own, rows)


def all_rows(own: Tensor, rows: Sequence[int]) -> Tensor:
    """The rows of all devices, without gradient.

    Args:
        own: (n, ...) of this device.
        rows: number of rows of each device.
    """
    padded = own.new_zeros((max(rows), *own.shape[1:]))
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in rows]
    dist.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, rows, strict=True)])


def _targets(batch: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in batch.items():
        if isinstance(value, Tensor) and key not in NOT_TARGETS:
            found[key] = all_rows(value, rows)
        elif isinstance(value, Mapping):
            found[key] = _targets(value, rows)
    return found
