"""Custom networks: the required and optional interface, its defaults, and a check."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.network.decoder import trial
from tandem.network.features import FeatureChannels, Features

STRIDE = 32
"""Default stride of a network."""


class SharedNetwork(Protocol):
    """An `nn.Module` that maps images to the features shared by all tasks.

    `network._target_` names a class or function. It is called with the options in the yaml, `channels` (of the images)
    and `dense` (whether a task needs a dense map). The result must be an `nn.Module`; no other base class is needed.
    The built-in network is `tandem.network.Network`.

    Required:
        channels: a `FeatureChannels`, the channels of both maps; `dense` is 0 if there is no dense map.
        forward: maps (N, C, H, W) float images in [0, 1] to `Features`. The network normalises images itself, and
            accepts images of any size that it is used with.

    Optional:
        begin_epoch(epoch): called before each epoch of training, counted from 0, for instance to unfreeze a part.
        stride: sides that are multiples of it need no padding, 32 by default. An exported file accepts such sides.
        mean, std: tensors of the normalisation, written into the metadata of an exported file.

    Parameters are named `network.<name in the module>` in `parameters.lr_factors`, `penalties` and checkpoints. The
    keys `network.pretrained` and `network.weights`, if the yaml has them, define where the weights come from: the
    content of the file is part of the run hash, and both are switched off (false, null) when a run is restored. Other
    keys of the shipped networks (`freeze`, `depth`, ...) belong to `make_network` and have no effect here. A node
    `decoder` is passed as a partial function.

    Example:
        >>> class Plain(nn.Module):
        ...     def __init__(self, channels: int, dense: bool, width: int = 8) -> None:
        ...         super().__init__()
        ...         self.layer = nn.Conv2d(channels, width, 3, padding=1)
        ...         self.channels = FeatureChannels(deep=width, dense=width)
        ...     def forward(self, image: Tensor) -> Features:
        ...         found = self.layer(image).relu()
        ...         size = (image.shape[-2], image.shape[-1])
        ...         return Features(deep=found, dense=found, padded=size, size=size)
        >>> network = check_network(Plain(channels=3, dense=True), channels=3, dense=True, size=64)
        >>> network_stride(network)
        32
    """

    channels: FeatureChannels

    def __call__(self, image: Tensor) -> Features:
        """Maps images to features."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Returns the module's parameters."""
        ...


def begin_epoch(network: SharedNetwork, epoch: int) -> None:
    """Calls a network's `begin_epoch`, if it has one.

    Args:
        network: the network.
        epoch: the epoch of training that begins, counted from 0.
    """
    if (begin := getattr(network, "begin_epoch", None)) is not None:
        begin(epoch)


def network_stride(network: SharedNetwork) -> int:
    """Returns the stride of a network; image sides that are multiples of it need no padding."""
    return int(getattr(network, "stride", STRIDE))


def normalisation(network: SharedNetwork) -> dict[str, list[float]] | None:
    """Returns `mean` and `std`, one number per channel of images in [0, 1]; None if the network has none."""
    found = {key: getattr(network, key, None) for key in ("mean", "std")}
    values = {key: value.flatten().tolist() for key, value in found.items() if isinstance(value, Tensor)}
    return values if len(values) == len(found) else None


def check_network(network: Any, channels: int, dense: bool, size: int | None) -> SharedNetwork:
    """Checks a network on two images of zeros, before any data are read.

    Args:
        network: the result of `network._target_`.
        channels: number of image channels.
        dense: whether a task needs a dense map.
        size: side of the images; None: four times the stride.

    Returns:
        The network.

    Raises:
        ConfigError: if it breaks the protocol.
    """
    name = f"network ({type(network).__name__})"
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{name} is not a torch.nn.Module; its _target_ must be one, or return one")
    promised: Any = getattr(network, "channels", None)
    if not isinstance(promised, FeatureChannels):
        raise ConfigError(
            f"{name}: channels is {promised!r}; set it to a tandem.network.FeatureChannels(deep=..., dense=...)"
        )
    stride: Any = getattr(network, "stride", STRIDE)
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
        raise ConfigError(f"{name}: stride is {stride!r}, but must be an integer above 0; leave it out for {STRIDE}")
    if not callable(getattr(network, "begin_epoch", begin_epoch)):
        raise ConfigError(f"{name}: begin_epoch is not a method; make it a method that takes the epoch, or remove it")
    side = size or 4 * stride
    found = trial(network, torch.zeros(2, channels, side, side), name)
    if not isinstance(found, Features):
        raise ConfigError(f"{name}: forward returns {type(found).__name__}, but must return tandem.network.Features")
    _check_map(name, "deep", found.deep, promised.deep)
    if dense:
        _check_map(name, "dense", found.dense, promised.dense)
    if tuple(found.size) != (side, side) or min(found.padded) < side:
        raise ConfigError(
            f"{name}: for images of {side} x {side}, forward returns size={tuple(found.size)} and "
            f"padded={tuple(found.padded)}; size must be the image's, and padded that of the dense map, at least size"
        )
    return network  # type: ignore[return-value]  # mypy cannot see these checks


def _check_map(name: str, which: str, found: Any, channels: int) -> None:
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if not isinstance(found, Tensor) or found.ndim != 4 or found.shape[:2] != (2, channels) or not found.numel():
        raise ConfigError(
            f"{name}: for two images, forward returns a map '{which}' of shape {shape}, but channels.{which} promises "
            f"(2, {channels}, H, W)"
        )
