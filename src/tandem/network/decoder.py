"""A decoder of the user's own: what it is given, what it must offer, and the check before any data are read."""

from collections.abc import Sequence
from math import ceil
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError

CELLS = (8, 12)
"""Rows and columns of the deepest map in the trial; not square, so that a decoder that swaps them is noticed."""


class MakeDecoder(Protocol):
    """A class or function that `network.decoder._target_` names.

    It is called with the encoder's levels, from the image itself to the deepest map, beside what the yaml gives:

    * `channels`: of each level. The first are those of the image; a level that this backbone lacks has 0.
    * `strides`: of each level, such as 1, 2, 4, 8, 16, 32. A dilated backbone repeats its last one.

    It returns an `nn.Module` with the attribute `out_channels`. The module's `forward` takes the list of maps, level i
    of shape (N, channels[i], H / strides[i], W / strides[i]), and returns one map, (N, out_channels, H', W'), of any
    size with the image's proportions; heads enlarge it to the image. It knows nothing of tasks, and ends without an
    activation that a head would have to undo.

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
        """The decoder over an encoder's levels."""
        ...


def make_decoder(make: MakeDecoder, channels: Sequence[int], strides: Sequence[int]) -> tuple[nn.Module, int]:
    """The decoder, tried out on maps of zeros, and the channels of the map that it gives.

    Args:
        make: see `MakeDecoder`.
        channels: of each of the encoder's levels.
        strides: of each of them.

    Raises:
        ConfigError: it is no module, lacks `out_channels`, or fails or gives something else than promised in the trial.
    """
    decoder: Any = make(channels=tuple(channels), strides=tuple(strides))
    name = f"network.decoder ({type(decoder).__name__})"
    if not isinstance(decoder, nn.Module):
        raise ConfigError(f"{name} is no torch.nn.Module; its _target_ must be one, or return one")
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
            f"{name}: forward returns {shape} for an image of {height} x {breadth}; keep the image's proportions"
        )
    return decoder, width


def trial(module: nn.Module, given: Any, name: str) -> Any:
    """What a module answers in evaluation mode; neither it nor the random numbers are changed.

    Args:
        module: to be tried out.
        given: its one argument.
        name: for messages.

    Raises:
        ConfigError: it fails.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return module(given)
    except Exception as error:  # whatever a user's own code raises
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"{name}: forward fails in a trial: {type(error).__name__}: {reason}") from error
    finally:
        for part, training in modes.items():
            part.training = training
