"""Seeds torch's generators of the devices that are in use."""

import torch


def seed_generators(seed: int) -> None:
    """Does what `torch.manual_seed` does, without its work for devices that no tensor has used.

    For each kind of device that has not started, `torch.manual_seed` notes the seed with a formatted stack of the whole
    program. Inside of a training that takes milliseconds, in each step.

    Args:
        seed: from 0 to 2^64 - 1.
    """
    torch.default_generator.manual_seed(seed)
    for device in (torch.cuda, torch.xpu):
        if device.is_initialized():
            device.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)
