"""Encoder and decoder of a network, from what was asked for: of a backbone with levels, or of a plain transformer."""

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import nn

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.network.backbone import check_patch, describe, size_options
from tandem.network.decoder import MakeDecoder, make_decoder
from tandem.network.dpt import make_token_decoder
from tandem.network.dry_run import used
from tandem.network.pyramid import FeaturePyramid, OnPyramid, level_strides, nominal_stride
from tandem.network.transformer_weights import take_file
from tandem.network.vision_transformer import PlainTransformer
from tandem.network.weights import check_arrived, pretrained_options, take_encoder

OF_TOKENS = "dpt"
"""The decoder that takes tokens of a plain vision transformer, and no levels."""

STAND_IN = "tandem-levels"
"""Name under which the library finds a stand-in for an encoder, while it makes a decoder."""

CELLS = 16
"""Rows and columns of the deepest map in the trial that shows which levels a decoder reads."""

Parts = tuple[Any, nn.Module | None, int]
"""Encoder, decoder, and channels of the decoder's map, which is 0 without a decoder."""


@dataclass(frozen=True)
class Plan:
    """What was asked for; see `make_network`. `decoder` is None if no task needs a dense map."""

    backbone: str
    channels: int
    size: tuple[int, int] | None
    decoder: str | MakeDecoder | None
    decoder_options: Mapping[str, Any]
    backbone_options: Mapping[str, Any]
    depth: int
    output_stride: int
    pretrained: bool
    weights: str | None
    pyramid_channels: int

    def padded(self, multiple: int) -> tuple[int, int] | None:
        """Height and width of the images once they are padded to a multiple."""
        return self.size and (ceil(self.size[0] / multiple) * multiple, ceil(self.size[1] / multiple) * multiple)


def parts(plan: Plan) -> Parts:
    """Makes encoder and decoder, with the weights that they start from.

    Raises:
        ConfigError: if they are incompatible, or weights are not available. The libraries raise further errors.
    """
    return _of_transformer(plan) if describe(plan.backbone).plain else _of_levels(plan)


# -------------------------------------------------------------------------------------------------- backbones of levels


def _of_levels(plan: Plan) -> Parts:
    loading = pretrained_options(plan.backbone, plan.pretrained, plan.weights)
    if plan.decoder == OF_TOKENS:
        raise ConfigError(
            f"decoder '{OF_TOKENS}' reads the tokens of a plain vision transformer, such as vit_tiny_patch16_224, but "
            f"backbone '{plan.backbone}' has none; choose another decoder or backbone"
        )
    _check_depth(plan)
    sized = size_options(plan.backbone, plan.padded(2**plan.depth), plan.channels, plan.backbone_options)
    options = {"in_channels": plan.channels, **plan.backbone_options, **sized, **(loading or {})}
    start = True if loading is not None else None
    decoding, width = None, 0
    if isinstance(plan.decoder, str):
        encoder, decoding, width = _library(
            plan.decoder,
            f"tu-{plan.backbone}",
            plan.output_stride,
            {"encoder_weights": start, "encoder_depth": plan.depth, **plan.decoder_options, **options},
        )
    else:
        encoder = _alone(plan, start, options)
    if plan.weights is not None and loading is None:
        take_encoder(encoder, plan.weights)
    elif plan.weights is not None:
        check_arrived(encoder, plan.weights)
    if plan.decoder is not None and not isinstance(plan.decoder, str):
        strides = level_strides(len(encoder.out_channels) - 1, int(encoder.output_stride))
        decoding, width = make_decoder(plan.decoder, encoder.out_channels, strides)
    return encoder, decoding, width


def _check_depth(plan: Plan) -> None:
    strides = describe(plan.backbone).strides
    if strides and strides[-1] < 2**plan.depth:
        raise ConfigError(
            f"backbone '{plan.backbone}' has maps up to stride {strides[-1]}, but network.depth is {plan.depth}; set "
            f"network.depth={strides[-1].bit_length() - 1}, and decoder_channels for so many levels"
        )


def _alone(plan: Plan, start: bool | None, options: Mapping[str, Any]) -> Any:
    from segmentation_models_pytorch.encoders import get_encoder

    return get_encoder(
        f"tu-{plan.backbone}", depth=plan.depth, output_stride=plan.output_stride, weights=start, **options
    )


def _library(decoder: str, encoder: str, stride: int, options: Mapping[str, Any]) -> Parts:
    """Builds the library's whole model, of which only encoder and decoder are used; heads belong to tasks."""
    import segmentation_models_pytorch as smp

    known: dict[str, type[nn.Module]] = dict(smp.MODEL_ARCHITECTURES_MAPPING)
    if decoder not in known:
        raise ConfigError(f"no decoder '{decoder}': {nearest(decoder, known)}")
    dilates = "encoder_output_stride" in inspect.signature(known[decoder]).parameters
    if dilates:
        options = {**options, "encoder_output_stride": stride}
    elif stride != 32:
        raise ConfigError(f"decoder '{decoder}' needs output_stride=32, not {stride}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # `empty_parts` finds them
        body: Any = known[decoder](encoder_name=encoder, classes=1, **options)
    return body.encoder, body.decoder, int(body.segmentation_head[0].in_channels)


# -------------------------------------------------------------------------------------------- plain vision transformers


def _of_transformer(plan: Plan) -> Parts:
    tokens = plan.decoder == OF_TOKENS
    about = describe(plan.backbone)
    patch = about.strides[-1]
    check_patch(plan.backbone, plan.size, patch)
    deepest = 2 ** (plan.depth + 1) if tokens else min(2**plan.depth, plan.output_stride)
    multiple = 1 if plan.decoder is None else max(1, deepest // nominal_stride(patch))
    local = plan.weights is not None
    if not local:
        pretrained_options(plan.backbone, plan.pretrained, None)  # whether timm's weights can be had
    encoder = PlainTransformer(
        plan.backbone,
        plan.channels,
        None if "img_size" in plan.backbone_options else plan.padded(patch * multiple),
        blocks=plan.depth if tokens else 1,
        tokens=tokens,
        multiple=patch * multiple,
        options=plan.backbone_options,
        pretrained=plan.pretrained and not local,
    )
    if plan.weights is not None:
        take_file(encoder, plan.weights)
    if plan.decoder is None:
        return encoder, None, 0
    if tokens:
        return (encoder, *make_token_decoder(encoder, plan.decoder_options))
    return (encoder, *_on_pyramid(plan, encoder))


def _on_pyramid(plan: Plan, encoder: PlainTransformer) -> tuple[nn.Module, int]:
    """A decoder of levels, on the pyramid, which makes the levels that the decoder reads.

    The one of stride 2 is made only for a decoder that cannot do without.
    """
    strides = level_strides(plan.depth, plan.output_stride)
    for finest in (4, 2):
        channels = [plan.channels, *(plan.pyramid_channels if one >= finest else 0 for one in strides[1:])]
        decoder, width = _of_channels(plan, channels, strides)
        if not empty_parts(decoder):
            break
    sides = [CELLS * strides[-1] // one for one in strides]
    taken = used(decoder, [torch.zeros(1, count, side, side) for count, side in zip(channels, sides, strict=True)])
    channels = [count if take else 0 for count, take in zip(channels, taken, strict=True)]
    pyramid = FeaturePyramid(encoder.width, nominal_stride(encoder.patch), channels, strides)
    return OnPyramid(pyramid, decoder), width


def _of_channels(plan: Plan, channels: Sequence[int], strides: Sequence[int]) -> tuple[nn.Module, int]:
    if not isinstance(plan.decoder, str):
        assert plan.decoder is not None
        return make_decoder(plan.decoder, channels, strides)
    with _stand_in(channels, strides):
        options = {"encoder_weights": None, "encoder_depth": plan.depth, "in_channels": plan.channels}
        _, decoder, width = _library(plan.decoder, STAND_IN, plan.output_stride, {**options, **plan.decoder_options})
    assert decoder is not None
    return decoder, width


def empty_parts(decoder: nn.Module) -> list[str]:
    """Names of a decoder's parameters without any value: it was made for a level of 0 channels, and cannot learn."""
    return [name for name, parameter in decoder.named_parameters() if parameter.numel() == 0]


class _Levels(nn.Module):
    """Has the channels of an encoder, and nothing else: the library makes an encoder with each decoder."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int], depth: int, output_stride: int) -> None:
        super().__init__()
        self.out_channels, self.output_stride, self.depth = list(channels), strides[-1], depth

    def set_in_channels(self, channels: int, pretrained: bool = False) -> None:
        """Called by the library."""

    def make_dilated(self, output_stride: int) -> None:
        """Called by the library."""


@contextmanager
def _stand_in(channels: Sequence[int], strides: Sequence[int]) -> Iterator[None]:
    from segmentation_models_pytorch.encoders import encoders

    encoders[STAND_IN] = {
        "encoder": _Levels,
        "params": {"channels": list(channels), "strides": list(strides)},
        "pretrained_settings": {},
    }
    try:
        yield
    finally:
        del encoders[STAND_IN]
