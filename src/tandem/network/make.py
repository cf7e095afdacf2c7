"""Builds a network: a timm backbone with a decoder of segmentation-models-pytorch or a custom decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import inf
from pathlib import Path
from pickle import UnpicklingError
from textwrap import shorten
from typing import Any

from safetensors import SafetensorError
from timm.layers import DropPath

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.network import small_cnn, small_resnet
from tandem.network.backbone import describe
from tandem.network.decoder import MakeDecoder
from tandem.network.feature_cache import FeatureCache
from tandem.network.freeze import first_epoch
from tandem.network.lora import Lora, add_lora, read_lora
from tandem.network.network import Network
from tandem.network.parts import OF_TOKENS, Plan, parts
from tandem.network.weights import (
    check_part,
    given_statistics,
    statistics,
    take_decoder,
)

REFUSALS = (
    *(TypeError, ValueError, KeyError, RuntimeError, AssertionError, AttributeError),
    *(OSError, EOFError, UnpicklingError, SafetensorError),
)
"""Errors that the libraries raise for incompatible parts, and for files that they cannot read."""


FROM_ELSEWHERE = (
    *("cache_dir", "checkpoint_path", "encoder_weights", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"),
    *("pretrained_model_args", "weights"),
)
"""Options of the libraries that download or open files, past the checks of `network.weights`."""


def make_network(
    channels: int,
    dense: bool,
    backbone: str,
    decoder: str | MakeDecoder,
    decoder_options: Mapping[str, Any] | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    depth: int = 5,
    output_stride: int = 32,
    pretrained: bool = False,
    weights: str | None = None,
    weights_part: str = "encoder",
    normalization: Mapping[str, Sequence[float]] | None = None,
    freeze: str = "none",
    drop_path: float = 0.0,
    dropout: float = 0.0,
    pyramid_channels: int = 256,
    lora: Mapping[str, Any] | None = None,
    cache_features: bool = False,
    size: int | tuple[int, int] | None = None,
) -> Network:
    """Builds a timm backbone with a decoder of segmentation-models-pytorch or a custom decoder.

    Args:
        channels: number of image channels.
        dense: whether a task needs a dense map; otherwise no decoder is built.
        backbone: any timm model with feature maps at strides 2 or 4 to 32, a plain vision transformer, or `small_cnn`.
        decoder: `unet`, `unetplusplus`, `fpn`, `deeplabv3plus` or another architecture of the library (`dpt` for plain
            vision transformers alone); or a `MakeDecoder`: in a yaml, a node with `_target_`.
        decoder_options: further arguments of that architecture; those of a custom decoder belong into its node.
        backbone_options: further arguments of the timm model, for instance `drop_path_rate`.
        depth: number of feature levels to use, 3 to 5.
        output_stride: stride of the deepest level; 8 and 16 dilate the backbone instead of downsampling.
        pretrained: whether to start from timm's weights.
        weights: a weights file to start from instead: .safetensors or .pth with timm's names, or a run's best.ckpt.
        weights_part: what is taken of a run's best.ckpt: `encoder`, or `network`, which is encoder and decoder.
        normalization: `mean` and `std` that the weights were trained with, one value per channel, for images in
            [0, 1]; None for the backbone's own in timm.
        freeze: what is frozen: `none`, `encoder`, or `until_epoch_k` (the encoder, in epochs 0 to k - 1).
        drop_path: stochastic depth (Huang et al., 2016): probability that a residual branch of the backbone is skipped
            for an image in training, rising from 0 at the first branch to this value at the last, in [0, 1).
        dropout: share of the deepest map's channels that is dropped in training, in [0, 1).
        pyramid_channels: channels of each level that a plain vision transformer's pyramid makes for a decoder.
        lora: adapters in a frozen backbone: `rank`, `alpha`, `dropout` and `targets`; see `tandem.network.lora`. None,
            or a rank of 0: no adapters.
        cache_features: whether a frozen encoder's features are computed once for each image and kept in memory.
        size: side, or height and width, of the images; a vision transformer is made for it. None if it is not known.

    Raises:
        ConfigError: if backbone or decoder is unknown, they are incompatible, or the weights are not available.
    """
    small_cnn.register()
    small_resnet.register()
    _check_backbone(backbone)
    _check_options(backbone_options, decoder_options)
    _check_decoder(decoder, decoder_options, depth)
    begins = first_epoch(freeze)
    adapters = _read_lora(lora, begins)
    _check_cache(cache_features, freeze)
    check_part(weights_part, weights)
    weights = weights and str(Path(weights).expanduser())
    given = given_statistics(normalization, channels) if normalization else None
    for name, share in (("drop_path", drop_path), ("dropout", dropout)):
        if not 0 <= share < 1:
            raise ConfigError(f"{name} is {share}, but must lie in [0, 1)")
    plan = Plan(
        backbone=backbone,
        channels=channels,
        size=(size, size) if isinstance(size, int) else size,
        decoder=decoder if dense else None,
        decoder_options=decoder_options or {},
        backbone_options={**(backbone_options or {}), **({"drop_path_rate": drop_path} if drop_path else {})},
        depth=depth,
        output_stride=output_stride,
        pretrained=pretrained,
        weights=weights,
        pyramid_channels=pyramid_channels,
    )
    try:
        encoder, decoding, width = parts(plan)
    except REFUSALS as error:
        if drop_path and "drop_path_rate" in str(error):
            raise _without_depth(backbone, drop_path) from error
        if "unexpected keyword argument 'output_stride'" in str(error):
            raise _cannot_dilate(backbone, decoder, output_stride) from error
        file = f", weights '{weights}'" if weights else ""
        reason = shorten(str(error), 400, placeholder=" ...") or type(error).__name__
        over = f" with decoder '{decoder}'" if isinstance(decoder, str) else ""
        raise ConfigError(f"backbone '{backbone}'{over} (depth {depth}{file}): {reason}") from error
    mean, std = given or statistics(backbone, channels)
    if drop_path and not any(isinstance(part, DropPath) for part in encoder.modules()):  # accepted, but unused
        raise _without_depth(backbone, drop_path)
    if weights is not None and weights_part == "network":
        take_decoder(decoding, weights)
    if adapters is not None:
        add_lora(encoder, adapters, backbone, plan.padded(encoder.output_stride) or describe(backbone).native)
    cache = FeatureCache(_of_encoder(plan)) if cache_features else None
    return Network(encoder, decoding, width, mean, std, dropout, begins, cache)


def _read_lora(options: Mapping[str, Any] | None, begins: float) -> Lora | None:
    asked = read_lora(options)
    if asked is not None and begins == inf:
        raise ConfigError(
            f"network.lora.rank is {asked.rank}, whose adapters are trained in a frozen backbone, but "
            "network.freeze=encoder trains nothing in it; set network.freeze=none, or network.lora.rank=0"
        )
    return asked


def _check_cache(wanted: bool, freeze: str) -> None:
    if wanted and freeze != "encoder":
        raise ConfigError(
            f"network.cache_features=true keeps the features of an encoder that never changes, but network.freeze is "
            f"{freeze}; set network.freeze=encoder, or network.cache_features=false"
        )


def _of_encoder(plan: Plan) -> str:
    """What a plan says of the maps of its encoder, whose weights are known otherwise."""
    decoder = OF_TOKENS if plan.decoder == OF_TOKENS else None
    return repr(replace(plan, decoder=decoder, decoder_options={}, pretrained=False, weights=None, pyramid_channels=0))


def _check_options(backbone: Mapping[str, Any] | None, decoder: Mapping[str, Any] | None) -> None:
    for group, options in (("backbone_options", backbone or {}), ("decoder_options", decoder or {})):
        if taken := [key for key in options if key in FROM_ELSEWHERE]:
            raise ConfigError(
                f"network.{group}.{taken[0]} would fetch or read weights; use network.pretrained or network.weights"
            )


def _check_decoder(decoder: Any, options: Mapping[str, Any] | None, depth: int) -> None:
    if isinstance(decoder, str):
        widths = (options or {}).get("decoder_channels")
        if isinstance(widths, Sequence) and len(widths) != depth and 3 <= depth <= 5:
            raise ConfigError(
                f"network.decoder_options.decoder_channels has {len(widths)} values, but network.depth is {depth}; "
                "give one for each level, from the deepest to the finest"
            )
        return
    if not callable(decoder):
        raise ConfigError(f"network.decoder is {decoder!r}, but must be the name of a decoder or have a _target_")
    if options:
        raise ConfigError(
            f"network.decoder_options ({', '.join(options)}) are for a decoder chosen by name; write your decoder's "
            "own options beside its _target_, and remove these with ~network.decoder_options"
        )


def _without_depth(backbone: str, share: float) -> ConfigError:
    return ConfigError(
        f"drop_path is {share}, but backbone '{backbone}' has no stochastic depth; set it to 0, or use a backbone "
        "with residual branches, such as resnet18"
    )


def _cannot_dilate(backbone: str, decoder: str | MakeDecoder, stride: int) -> ConfigError:
    over = f", as decoder '{decoder}' asks for" if isinstance(decoder, str) else ""
    return ConfigError(
        f"backbone '{backbone}' cannot be dilated to network.output_stride={stride}{over}; choose another backbone, "
        "such as resnet18, or a decoder without a dilated backbone, such as unet, with network.output_stride=32"
    )


def _check_backbone(name: str) -> None:
    import timm

    if not timm.is_model(name.split(".")[0]):
        close = get_close_matches(name, timm.list_models(), n=8, cutoff=0.5)
        raise ConfigError(f"timm has no backbone '{name}': {nearest(name, close or timm.list_models('resnet*')[:8])}")
