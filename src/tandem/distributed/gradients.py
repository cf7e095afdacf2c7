"""Gradients that are not those of DDP's own backward pass, added up over the devices."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from tandem.distributed.gather import is_distributed


def over_devices(gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The means over the devices, as DDP has them; on one device, the gradients themselves.

    A device's gradient is that of its own rows times the number of devices, so the mean is that of the whole batch. All
    of one dtype travel in one message.

    Args:
        gradients: of the same shapes on every device; None at the same places.
    """
    found = list(gradients)
    if not is_distributed():
        return found
    for dtype in dict.fromkeys(each.dtype for each in gradients if each is not None):
        places = [place for place, each in enumerate(gradients) if each is not None and each.dtype == dtype]
        parts = [part for place in places if (part := gradients[place]) is not None]
        flat = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for place, part, mean in zip(places, parts, torch.split(flat, [part.numel() for part in parts]), strict=True):
            found[place] = mean.view_as(part)
    return found
