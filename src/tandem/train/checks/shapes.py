"""The check of a network on the size of its images, before any data are read."""

from typing import TYPE_CHECKING

import torch

from tandem.balance.replay import same_buffers
from tandem.errors import ConfigError
from tandem.network import Network
from tandem.network.dry_run import dry_run

if TYPE_CHECKING:
    from tandem.module import MultiTaskModule

LARGEST = 1024
"""Largest side that is tried for the advice which side works."""


def check_shapes(module: "MultiTaskModule", channels: int, size: int | None, rows: int) -> None:
    """Runs the module on the shapes of a training batch, without values.

    Args:
        module: untrained.
        channels: number of image channels.
        size: side of the images; without it, or for a network of the user's own, nothing is checked here.
        rows: rows of a batch.

    Raises:
        ConfigError: if backbone, decoder and size do not go together, with a size that works if there is one.
    """
    network = module.network
    if size is None or not isinstance(network, Network):
        return
    if network.decoder is not None and any(parameter.numel() == 0 for parameter in network.decoder.parameters()):
        raise ConfigError(
            "network: this decoder needs a map at each stride, but the backbone has none at stride 2, so the decoder "
            "would learn nothing; set network.depth=5 for the deepest maps, or choose network=unet or another backbone"
        )
    rows = min(rows, 2)
    if (error := _failure(module, channels, size, rows)) is None:
        return
    reason = " ".join(str(error).split())[:200]
    step = network.stride
    larger = range((size // step + 1) * step, LARGEST + 1, step)
    works = next((side for side in larger if _quietly(module, channels, side, rows)), None)
    fix = f"the next data.size that works is {works}" if works else "choose another network, or set network.depth"
    raise ConfigError(f"the network cannot be trained on images of {size} x {size} ({reason}); {fix}") from error


def _failure(module: "MultiTaskModule", channels: int, size: int, rows: int) -> Exception | None:
    """What the module raises; a module that fails without values is tried with values."""
    image = torch.zeros(rows, channels, size, size)
    if _quietly(module, channels, size, rows):
        return None
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), same_buffers(module):
            module(image)
    except torch.OutOfMemoryError:
        return None
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        return error
    return None


def _quietly(module: "MultiTaskModule", channels: int, size: int, rows: int) -> bool:
    try:
        with torch.no_grad():
            dry_run(module, torch.empty(rows, channels, size, size, device="meta"))
    except Exception:  # any library may refuse in its own way
        return False
    return True
