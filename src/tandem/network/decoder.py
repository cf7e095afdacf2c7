"""Custom decoders: their interface, and a check that runs before any data are read."""

from collections.abc import Sequence
from math import ceil
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError

CELLS = (8, 12)
"""Rows and columns of the deepest map in the trial; not square, to detect a decoder that swaps them."""


class MakeDecoder(Protocol):
    """The interface of the class or function named by `network.decoder._target_`.

    It gets the options in the yaml and two lists over the encoder's levels, from the image to the deepest map:

    * `channels`: channels of each level. The first level is the image; a level that the backbone lacks has 0.
    * `strides`: stride of each level, such as 1, 2, 4, 8, 16, 32. A dilated backbone repeats its last stride.

    It returns an `nn.Module` with the attribute `out_channels`. The module's `forward` takes the list of maps, level i
    of shape (N, channels[i], H / strides[i], W / strides[i]), and returns one map, (N, out_channels, H', W'), of any
    size with the aspect ratio of the image; heads resize it to the image. It is independent of tasks, and should not
    end in an activation that a head would have to undo.

    Source: the interface is that of the decoders of segmentation-models-pytorch, with strides added.

    Example:
        >>> class Deepest(nn.Module):
        ...     def __init__(self, channels: Sequence[int], strides: Sequence[int], width: int = 8) -> None:
        ...         super().__init__()
        ...         self.out_channels = width
        ...         self.mix = nn.Conv2d(channels[-1], width, 1)
        ...     def forward(self, levels: list[Tensor]) -> Tensor:
        ...         return self.mix(levels[-1])
        >>> decoder, width = make_decoder(Deepest, (3, 16, 32), (1, 2, 4))
        >>> width
        8
    """

    def __call__(self, *, channels: Sequence[int], strides: Sequence[int]) -> nn.Module:
        """Makes the decoder for an encoder's levels."""
        ...


def make_decoder(make: MakeDecoder, channels: Sequence[int], strides: Sequence[int]) -> tuple[nn.Module, int]:
    """Makes a decoder, checks it on maps of zeros, and returns it with the channels of its output.

    Args:
        make: see `MakeDecoder`.
        channels: channels of each encoder level.
        strides: stride of each encoder level.

    Raises:
        ConfigError: if it is not a module, lacks `out_channels`, fails in the trial, or returns the wrong shape.
    """
    decoder: Any = make(channels=tuple(channels), strides=tuple(strides))
    name = f"network.decoder ({type(decoder).__name__})"
    if not isinstance(decoder, nn.Module):
        raise ConfigError(f"{name} is not a torch.nn.Module; its _target_ must be one, or return one")
    width: Any = getattr(decoder, "out_channels", None)
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ConfigError(f"{name}: out_channels is {width!r}; set it to the number of channels that forward returns")
    height, breadth = (cells * max(strides) for cells in CELLS)
    levels = [
        torch.zeros(1, count, ceil(height / stride), ceil(breadth / stride))
        for count, stride in zip(channels, strides, strict=True)
    ]
    found = trial(decoder, levels, name)
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if not isinstance(found, Tensor) or found.ndim != 4 or found.shape[:2] != (1, width):
        raise ConfigError(f"{name}: forward returns {shape}, but must return a tensor (1, out_channels={width}, H, W)")
    if not 0 < found.shape[2] * CELLS[1] == found.shape[3] * CELLS[0]:
        raise ConfigError(
            f"{name}: forward returns {shape} for an image of {height} x {breadth}; keep the aspect ratio of the image"
        )
    return decoder, width


def trial(module: nn.Module, given: Any, name: str) -> Any:
    """Calls a module in evaluation mode; neither its state nor the random state changes.

    Args:
        module: the module to try.
        given: its single argument.
        name: name of the module in messages.

    Raises:
        ConfigError: if the module raises.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return module(given)
    except Exception as error:  # custom code may raise anything
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"{name}: forward fails in a trial: {type(error).__name__}: {reason}") from error
    finally:
        for part, training in modes.items():
            part.training = training
