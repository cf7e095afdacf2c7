"""Pretrained weights: found or rejected at once, not after a minute of retries."""

import logging
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten
from typing import Any

from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.network.lora import without_lora
from tandem.utils.digests import check_intact
from tandem.utils.files import known_sha256

log = logging.getLogger(__name__)

CHECKPOINT = ".ckpt"
OWN = "network.encoder."
"""Prefix of the encoder's tensors in the checkpoint of a run."""

DECODER = "network.decoder."
"""How the names of a decoder's tensors begin there."""

PARTS = ("encoder", "network")

PATIENCE = 3.0
"""Seconds to wait for the host of the weights before it counts as unreachable."""


def pretrained_options(backbone: str, pretrained: bool, weights: str | None) -> dict[str, Any] | None:
    """Returns the arguments with which timm loads weights, or None if timm loads none.

    Args:
        backbone: timm's name of the model.
        pretrained: whether timm's own weights are wanted.
        weights: a local file, which has priority over timm's own weights.

    Raises:
        ConfigError: if the file does not exist, timm has no weights, or they are neither cached nor downloadable.
    """
    if weights is not None:
        if not Path(weights).is_file():
            raise ConfigError(f"network.weights: no file '{weights}'; give a .safetensors or .pth file, or null")
        return None if Path(weights).suffix == CHECKPOINT else {"pretrained_cfg_overlay": {"file": str(weights)}}
    if not pretrained:
        return None
    _check_available(backbone)
    return {}


def origin(network: Mapping[str, Any]) -> dict[str, str] | None:
    """Identifies the weights that a network's encoder starts from, so that runs can be compared.

    Args:
        network: the part `network` of the configuration.

    Returns:
        `file` and `sha256` of a local file; timm's `model` and the `repository` of its weights; None for random ones.
    """
    if weights := network.get("weights"):
        path = Path(weights).expanduser()
        return {"file": path.name, "sha256": known_sha256(path)}
    if not network.get("pretrained") or "backbone" not in network:  # a custom network loads its own weights
        return None
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(network["backbone"])
    return {"model": network["backbone"], "repository": str(known and known.hf_hub_id)}


def take_encoder(encoder: nn.Module, weights: str) -> None:
    """Loads the encoder weights and batch statistics of another run.

    Args:
        encoder: an encoder with the same backbone and number of channels.
        weights: the run's checkpoint, `best.ckpt`.

    Raises:
        ConfigError: if the file is not such a checkpoint, or of another backbone.
    """
    _take(encoder, OWN, weights, "this backbone and channel count")


def take_decoder(decoder: nn.Module | None, weights: str) -> None:
    """Gives a decoder the weights and batch statistics that another run of tandem has learnt.

    Args:
        decoder: of the same architecture, for the same encoder; None if no task needs one.
        weights: the run's checkpoint, `best.ckpt`.

    Raises:
        ConfigError: a network without a decoder, or a run with another one.
    """
    if decoder is None:
        raise ConfigError(
            "network.weights_part=network takes a decoder, but no task here needs one; set network.weights_part=encoder"
        )
    _take(decoder, DECODER, weights, "this decoder (network.weights_part=encoder takes its encoder alone)")


def check_part(part: str, weights: str | None) -> None:
    """Checks which part of a run's network is taken.

    Args:
        part: `encoder` or `network`.
        weights: the file that it is taken from.

    Raises:
        ConfigError: an unknown part, or a decoder is asked of a file that has none.
    """
    if part not in PARTS:
        raise ConfigError(f"network.weights_part is '{part}', but must be one of {', '.join(PARTS)}")
    if part == "network" and (weights is None or Path(weights).suffix != CHECKPOINT):
        raise ConfigError(
            "network.weights_part=network needs network.weights=RUN/best.ckpt, of a run with this decoder"
        )


def _take(module: nn.Module, prefix: str, weights: str, wanted: str) -> None:
    """Loads the tensors of a checkpoint whose names begin with a prefix."""
    import torch

    check_intact(Path(weights))
    try:
        state = torch.load(weights, weights_only=True, map_location="cpu")["state_dict"]
        state = without_lora(state)
        found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        module.load_state_dict(found)
    except (OSError, EOFError, RuntimeError, UnpicklingError, KeyError, TypeError, AttributeError) as error:
        reason = shorten(str(error), 200, placeholder=" ...") or type(error).__name__
        raise ConfigError(
            f"network.weights: '{weights}' is not a checkpoint of a run with {wanted}: {reason}"
        ) from error


def check_arrived(encoder: nn.Module, weights: str) -> None:
    """Checks that an encoder holds the weights of a file: timm silently loads only the tensors that fit.

    Tensors are identified by their size and sum, since names differ between files. The first one, which timm converts
    to the number of image channels, is ignored.

    Args:
        encoder: the encoder after loading.
        weights: the file.

    Raises:
        ConfigError: if most of the encoder's tensors are not from the file. If only some are missing, logs a warning.
    """
    from timm.models import load_state_dict

    found = load_state_dict(weights).values()
    if not all(isinstance(tensor, Tensor) for tensor in found):
        raise ConfigError(f"network.weights: '{weights}' holds no tensors by name; give a .safetensors or .pth file")
    held = {_mark(tensor) for tensor in found if tensor.is_floating_point()}
    parameters = list(encoder.named_parameters())[1:]
    absent = [name for name, parameter in parameters if _mark(parameter) not in held]
    if len(absent) > len(parameters) / 2:
        raise ConfigError(
            f"network.weights: '{weights}' belongs to another model; it lacks {len(absent)} of the backbone's "
            f"{len(parameters)} tensors"
        )
    if absent:
        log.warning("'%s' lacks %d of the backbone's tensors, which stay random: %s", weights, len(absent), absent[0])


def _mark(tensor: Tensor) -> tuple[int, float]:
    return tensor.numel(), round(float(tensor.detach().double().sum()), 6)


def given_statistics(normalization: Mapping[str, Sequence[float]], channels: int) -> tuple[list[float], list[float]]:
    """Validates the configured mean and standard deviation, and expands them to all channels.

    Args:
        normalization: `mean` and `std`, one number or one per channel.
        channels: number of image channels.

    Raises:
        ConfigError: if the values are anything else, or a deviation is not above 0.
    """
    found = []
    for key in ("mean", "std"):
        values = list(normalization.get(key, ()))
        least = 0 if key == "std" else -inf
        wrong = [value for value in values if isinstance(value, bool) or not isinstance(value, int | float)]
        if wrong or len(values) not in (1, channels) or not all(least < value < inf for value in values):
            raise ConfigError(
                f"network.normalization is {dict(normalization)}, but must have mean and std (above 0), "
                f"{channels} {'number' if channels == 1 else 'numbers'} each"
            )
        found.append([float(value) for value in values] * (channels // len(values)))
    return found[0], found[1]


def statistics(backbone: str, channels: int) -> tuple[list[float], list[float]]:
    """Returns the mean and standard deviation that the backbone's weights were trained with.

    Args:
        backbone: timm's name of the model.
        channels: number of image channels; unless it is 3, each channel gets the mean over red, green and blue.
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
            "set network.pretrained=false, or network.weights=FILE with a local file"
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
