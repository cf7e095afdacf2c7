"""Weights of a plain vision transformer from a local file, with timm's names or those of its authors."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from tandem.errors import ConfigError
from tandem.network.lora import without_lora
from tandem.network.vision_transformer import PlainTransformer
from tandem.network.weights import CHECKPOINT, OWN
from tandem.utils.digests import check_intact

log = logging.getLogger(__name__)

INSIDE = ("teacher", "model_ema", "state_dict_ema", "state_dict", "model", "target_encoder", "encoder", "student")
"""Entries of a checkpoint that hold the model, best first: a teacher or average is what its authors evaluate."""

MISSING_SHARE = 0.5
"""A file that lacks more of the backbone's tensors than this is of another model."""

Tensors = dict[str, Tensor]


def take_file(encoder: PlainTransformer, weights: str) -> None:
    """Loads the weights of a transformer, and logs how many of its tensors the file has.

    The names may be timm's or, where timm converts them, those of the authors (DINO, DINOv2, DINOv3, MAE, BEiT, SAM,
    CLIP), inside `model`, `state_dict`, `teacher` and the like, with any prefix. Positions are interpolated to the
    image's size. Nothing is unpickled but tensors.

    Args:
        encoder: the transformer.
        weights: a .safetensors or .pth file, or the best.ckpt of a run.

    Raises:
        ConfigError: if the file cannot be read, or is of another model.
    """
    if not Path(weights).is_file():
        raise ConfigError(f"network.weights: no file '{weights}'; give a .safetensors or .pth file, or null")
    model, own = encoder.model, encoder.model.state_dict()
    state = _without_prefix(_read(weights), own)
    held = len(state)
    state = _in_timm_names(state, model, weights)
    _adapt_channels(state, own, model)
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    absent = [name for name in own if name not in fitting]
    if len(absent) > MISSING_SHARE * len(own):
        raise ConfigError(
            f"network.weights: '{weights}' belongs to another model; it lacks {len(absent)} of the backbone's "
            f"{len(own)} tensors, such as {absent[0]}"
        )
    model.load_state_dict(fitting, strict=False)
    log.info(
        "'%s' has %d of the backbone's %d tensors; %d of its %d are not used",
        weights, len(fitting), len(own), max(0, held - len(fitting)), held,
    )  # fmt: skip
    if absent:
        log.warning("'%s' lacks %d of the backbone's tensors, which stay random: %s", weights, len(absent), absent[0])


def _read(weights: str) -> Tensors:
    """Tensors by name, of the part of the file that holds the model."""
    try:
        if Path(weights).suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(weights)
        else:
            if Path(weights).suffix == CHECKPOINT:
                check_intact(Path(weights))
            found = torch.load(weights, weights_only=True, map_location="cpu")
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, UnpicklingError, SafetensorError) as error:
        reason = shorten(str(error), 200, placeholder=" ...") or type(error).__name__
        raise ConfigError(f"network.weights: '{weights}' cannot be read as tensors by name: {reason}") from error
    while isinstance(found, Mapping) and (inside := [key for key in INSIDE if isinstance(found.get(key), Mapping)]):
        found = found[inside[0]]
    tensors = {str(key): value for key, value in found.items() if isinstance(value, Tensor)} if _maps(found) else {}
    if not tensors:
        raise ConfigError(f"network.weights: '{weights}' holds no tensors by name; give a .safetensors or .pth file")
    return without_lora(tensors)


def _maps(found: object) -> bool:
    return isinstance(found, Mapping)


def _without_prefix(state: Tensors, own: Mapping[str, Tensor]) -> Tensors:
    """Removes the prefix with which most names are the backbone's, such as `module.` or `backbone.`."""
    if any(name.startswith(OWN) for name in state):
        prefixes = {f"{OWN}model."}
    else:
        split = [name.split(".") for name in state]
        prefixes = {"".join(f"{part}." for part in parts[:count]) for parts in split for count in range(4)}
    named = {prefix: sum(f"{prefix}{name}" in state for name in own) for prefix in prefixes}
    best = max(sorted(prefixes, key=len), key=lambda prefix: named[prefix])
    return {name.removeprefix(best): value for name, value in state.items() if name.startswith(best)}


def _in_timm_names(state: Tensors, model: Any, weights: str) -> Tensors:
    """Renames tensors and interpolates positions, with the function that timm has for the model's family."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        found = dict(state if convert is None else convert(state, model))
    except (KeyError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        reason = shorten(str(error), 200, placeholder=" ...") or type(error).__name__
        raise ConfigError(f"network.weights: '{weights}' does not fit this backbone: {reason}") from error
    before, after = state.get("pos_embed"), found.get("pos_embed")
    if before is not None and after is not None and before.shape != after.shape:
        log.info("positions are interpolated from %d to %d tokens", before.shape[1], after.shape[1])
    return found


def _adapt_channels(state: Tensors, own: Mapping[str, Tensor], model: Any) -> None:
    """Sums or repeats the first layer's channels for images of another number of channels, as timm does."""
    from timm.models import adapt_input_conv

    name = f"{(model.pretrained_cfg or {}).get('first_conv', 'patch_embed.proj')}.weight"
    if name in state and name in own and state[name].shape[1] != own[name].shape[1] and state[name].ndim == 4:
        state[name] = adapt_input_conv(own[name].shape[1], state[name])
