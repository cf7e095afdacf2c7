"""Batch normalisation over the rows of all devices."""

import logging

import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

log = logging.getLogger(__name__)

KNOWN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNormAct2d)
"""Layers that can be replaced: those whose computation is known."""


class SharedBatchNorm(_BatchNorm):
    """`torch.nn.SyncBatchNorm` for CPUs: mean and variance are those of all devices' rows.

    Each device sends its count n_d, mean m_d and sum of squared deviations s_d to the others, in one message. With n =
    sum_d n_d, the mean is m = sum_d n_d m_d / n, and the variance sum_d (s_d + n_d (m_d - m)^2) / n (Chan, Golub and
    LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances, 1979). The dropout and
    activation of timm's layers follow here too.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) to the same shape; N may differ between devices."""
        normal = self._over_devices(input) if self.training else super().forward(input)
        for name in ("drop", "act"):  # of timm's layers
            normal = getattr(self, name)(normal) if hasattr(self, name) else normal
        return normal

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of dimensions."""

    def _over_devices(self, given: Tensor) -> Tensor:
        x = given.float() if given.dtype in (torch.float16, torch.bfloat16) else given
        over = [0, *range(2, x.ndim)]
        wide = (1, -1, *[1] * (x.ndim - 2))
        mean = x.mean(over)
        squares = (x - mean.view(wide)).square().sum(over)
        counts, means, sums = _gather_all(torch.stack([torch.full_like(mean, x.numel() // x.shape[1]), mean, squares]))
        total = counts.sum(0)
        mean = (counts * means).sum(0) / total
        variance = (sums + counts * (means - mean).square()).sum(0) / total
        self._remember(mean.detach(), variance.detach(), total)
        normal = (x - mean.view(wide)) * (variance + self.eps).rsqrt().view(wide)
        if self.affine:
            normal = normal * self.weight.view(wide) + self.bias.view(wide)
        return normal.to(given.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = variance * count / (count - 1).clamp(min=1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)


class _GatherAll(torch.autograd.Function):
    """The values of all devices; backward returns the sum of the gradients of this device's values."""

    @staticmethod
    def forward(_: object, own: Tensor) -> Tensor:
        found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(found, own)
        return torch.stack(found)

    @staticmethod
    def backward(_: object, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total[dist.get_rank()]


def _gather_all(own: Tensor) -> tuple[Tensor, ...]:
    """(K, C) numbers to K times (devices, C)."""
    parts: Tensor = _GatherAll.apply(own)
    return parts.unbind(1)


def convert_batchnorm(module: nn.Module, gpu: bool) -> None:
    """Replace every batch normalisation by one over all devices.

    Parameters and buffers stay the same objects under the same names.

    Args:
        module: whose layers are replaced.
        gpu: whether the devices are GPUs.
    """
    if gpu:
        convert_sync_batchnorm(module)
    else:
        _replace(module)


def _replace(module: nn.Module) -> None:
    for name, part in module.named_children():
        if type(part) in KNOWN:
            assert isinstance(part, _BatchNorm)
            setattr(module, name, _shared(part))
            continue
        if isinstance(part, _BatchNorm):
            log.warning("%s (%s) keeps separate statistics on each device", name, type(part).__name__)
        _replace(part)


def _shared(part: _BatchNorm) -> SharedBatchNorm:
    shared = SharedBatchNorm(part.num_features, part.eps, part.momentum, part.affine, part.track_running_stats)
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "drop", "act"):
        if hasattr(part, name):
            setattr(shared, name, getattr(part, name))
    return shared.train(part.training)
