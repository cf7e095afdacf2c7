"""Pretrained weights: found at once or refused at once, never after a minute of retries."""

import logging
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tandem.errors import ConfigError

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds to wait for the weights' host before it counts as out of reach."""


def pretrained_options(backbone: str, pretrained: bool, weights: str | None) -> dict[str, Any] | None:
    """Arguments for timm with which the backbone starts from weights, or None for a random start.

    Args:
        backbone: timm's name of the model.
        pretrained: whether timm's own weights are wanted.
        weights: a local file, which goes before timm's own.

    Raises:
        ConfigError: the file is not there, the model has no weights, or they are neither cached nor within reach.
    """
    if weights is not None:
        if not Path(weights).is_file():
            raise ConfigError(f"network.weights: no file '{weights}'; give a .safetensors or .pth file, or null")
        return {"pretrained_cfg_overlay": {"file": str(weights)}}
    if not pretrained:
        return None
    _check_available(backbone)
    return {}


def check_arrived(encoder: nn.Module, weights: str) -> None:
    """Makes sure that an encoder holds what a file gave; of another model's file timm takes what fits, without a word.

    A tensor is known again by its size and sum, since names differ between files. The first, which is converted to the
    channels of the image, is not looked at.

    Args:
        encoder: after loading.
        weights: the file.

    Raises:
        ConfigError: most of the encoder is not from the file. Less is a warning.
    """
    from timm.models import load_state_dict

    held = {_mark(tensor) for tensor in load_state_dict(weights).values() if tensor.is_floating_point()}
    parameters = list(encoder.named_parameters())[1:]
    absent = [name for name, parameter in parameters if _mark(parameter) not in held]
    if len(absent) > len(parameters) / 2:
        raise ConfigError(
            f"network.weights: '{weights}' is of another model; it lacks {len(absent)} of the backbone's "
            f"{len(parameters)} tensors"
        )
    if absent:
        log.warning("'%s' lacks %d of the backbone's tensors, which stay random: %s", weights, len(absent), absent[0])


def _mark(tensor: Tensor) -> tuple[int, float]:
    return tensor.numel(), round(float(tensor.detach().double().sum()), 6)


def statistics(backbone: str, channels: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation to normalise with: those the backbone's weights were trained with.

    Args:
        backbone: timm's name of the model.
        channels: channels of an image; unless it is three, each channel gets the mean over red, green and blue.
    """
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(backbone)
    mean, std = (list(known.mean), list(known.std)) if known is not None else ([0.5] * 3, [0.5] * 3)
    if channels != len(mean):
        mean, std = [sum(mean) / len(mean)] * channels, [sum(std) / len(std)] * channels
    return mean, std


def _check_available(backbone: str) -> None:
    from huggingface_hub import constants, try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(backbone)
    if known is None or not known.has_weights:
        raise ConfigError(f"timm has no weights for '{backbone}'; set network.pretrained=false or network.weights=FILE")
    repository = known.hf_hub_id
    names = ("model.safetensors", "pytorch_model.bin")
    cached = repository and any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
    if not cached and (constants.HF_HUB_OFFLINE or not _reachable(constants.ENDPOINT)):
        raise ConfigError(
            f"the weights of '{backbone}' are not in the local cache and their host cannot be reached; "
            "set network.pretrained=false, or network.weights=FILE with weights that you have"
        )


def _reachable(address: str) -> bool:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(address, method="HEAD"), timeout=PATIENCE):  # noqa: S310 (the hub's own constant)
            return True
    except HTTPError:
        return True
    except (OSError, ValueError, HTTPException):
        return False
