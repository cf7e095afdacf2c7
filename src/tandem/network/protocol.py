"""What a network of the user's own must offer, what is assumed where it lacks the rest, and the check of both."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.network.decoder import trial
from tandem.network.features import FeatureChannels, Features

STRIDE = 32
"""Of a network that gives none."""


class SharedNetwork(Protocol):
    """An `nn.Module` that turns images into the features that all tasks share.

    `network._target_` names a class or function. It is called with `channels` (of an image) and `dense` (whether a
    task needs a dense map) beside what the yaml gives. What it returns needs no base class but `nn.Module`; tandem's
    own is `tandem.network.Network`.

    Required:
        channels: a `FeatureChannels`, the channels of both maps; `dense` is 0 where there is no dense map.
        forward: (N, C, H, W) float images in [0, 1] to `Features`. The network normalises images itself, and takes
            images of any size that it is used with.

    Optional, used where it is there:
        begin_epoch(epoch): called before each epoch of training, counted from 0, for instance to unfreeze a part.
        stride: sides that are multiples of it need no padding, 32 by default. An exported file takes such sides.
        mean, std: tensors of the normalisation, told in the metadata of an exported file.

    Parameters have the names `network.<name of yours>` in `parameters.lr_factors`, `penalties` and checkpoints. The
    keys `network.pretrained` and `network.weights`, if its yaml has them, say where its weights come from: the content
    of the file counts for the hash, and both are switched off (false, null) when a run is read back. Other keys of the
    shipped networks (`freeze`, `depth`, ...) are those of `make_network` and mean nothing here; a node `decoder` is
    given as a function that waits for its last arguments.

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
        """Images to features."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Those of the module."""
        ...


def begin_epoch(network: SharedNetwork, epoch: int) -> None:
    """Tells a network, if it wants to know, that an epoch of training begins.

    Args:
        network: of a module.
        epoch: counted from 0.
    """
    if (begin := getattr(network, "begin_epoch", None)) is not None:
        begin(epoch)


def network_stride(network: SharedNetwork) -> int:
    """Sides of images that are multiples of this need no padding."""
    return int(getattr(network, "stride", STRIDE))


def normalisation(network: SharedNetwork) -> dict[str, list[float]] | None:
    """`mean` and `std`, one number for each channel of images in [0, 1]; None where the network does not tell."""
    found = {key: getattr(network, key, None) for key in ("mean", "std")}
    told = {key: value.flatten().tolist() for key, value in found.items() if isinstance(value, Tensor)}
    return told if len(told) == len(found) else None


def check_network(network: Any, channels: int, dense: bool, size: int | None) -> SharedNetwork:
    """Tries a network out on two images of zeros, before any data are read.

    Args:
        network: what `network._target_` gave.
        channels: of an image.
        dense: whether a task needs a dense map.
        size: side of the images; None: four strides.

    Returns:
        The network.

    Raises:
        ConfigError: it breaks the protocol.
    """
    name = f"network ({type(network).__name__})"
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{name} is no torch.nn.Module; its _target_ must be one, or return one")
    promised: Any = getattr(network, "channels", None)
    if not isinstance(promised, FeatureChannels):
        raise ConfigError(
            f"{name}: channels is {promised!r}; set it to a tandem.network.FeatureChannels(deep=..., dense=...)"
        )
    stride: Any = getattr(network, "stride", STRIDE)
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
        raise ConfigError(
            f"{name}: stride is {stride!r}, but must be a whole number above 0; leave it out for {STRIDE}"
        )
    if not callable(getattr(network, "begin_epoch", begin_epoch)):
        raise ConfigError(f"{name}: begin_epoch is no method; make it take the number of the epoch, or leave it out")
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
            f"padded={tuple(found.padded)}; size is the image's, padded what the dense map covers, at least that"
        )
    return network  # type: ignore[return-value]  # mypy cannot see what was checked


def _check_map(name: str, which: str, found: Any, channels: int) -> None:
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if not isinstance(found, Tensor) or found.ndim != 4 or found.shape[:2] != (2, channels) or not found.numel():
        raise ConfigError(
            f"{name}: for two images, forward returns a map '{which}' of shape {shape}, but channels.{which} promises "
            f"(2, {channels}, H, W)"
        )
