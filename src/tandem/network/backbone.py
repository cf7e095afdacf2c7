"""What timm says of a backbone: the strides of its maps, and whether it is made for one size of image."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn

from tandem.errors import ConfigError


@dataclass(frozen=True)
class Backbone:
    """A timm model as its library describes it.

    Attributes:
        strides: stride of each map that it offers.
        sized: whether the model is made for one size of image, as transformers with learnt positions are.
        native: height and width of the images that timm's weights were trained with.
    """

    strides: tuple[int, ...]
    sized: bool
    native: tuple[int, int]

    @property
    def plain(self) -> bool:
        """Whether all maps have one stride, as in a plain vision transformer (ViT, DINOv2, MAE, BEiT, SAM)."""
        return len(self.strides) > 1 and len(set(self.strides)) == 1


@cache
def describe(name: str) -> Backbone:
    """Describes a backbone; no memory is allocated for its weights, and no random number is drawn.

    Args:
        name: timm's name of the model.

    Example:
        >>> describe("vit_tiny_patch16_224").plain, describe("resnet18").strides
        (True, (2, 4, 8, 16, 32))
    """
    import timm
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(name)
    sized = bool(known is not None and known.fixed_input_size)
    native = (224, 224) if known is None or known.input_size is None else tuple(known.input_size[1:])
    try:
        with _without_memory():
            found = getattr(timm.create_model(name, pretrained=False), "feature_info", None) or ()
    except Exception:  # some models cannot be made without memory; these are no transformers
        found = ()
    return Backbone(tuple(int(level["reduction"]) for level in found), sized, (int(native[0]), int(native[1])))


def size_options(
    name: str, size: tuple[int, int] | None, channels: int, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The arguments with which timm makes a hierarchical backbone for a size of image; empty if it takes any size.

    A Swin transformer asks for the size, to choose its windows.

    Args:
        name: timm's name of the model.
        size: height and width of the padded images; None if they are not known.
        channels: number of image channels.
        options: further arguments of the model; an `img_size` among them is the user's own.
    """
    about = describe(name)
    if size is None or not about.sized or about.plain or "img_size" in (options or {}):
        return {}
    takes = _takes(name, size, channels, options or {})
    return {} if takes else {"img_size": size}


def _takes(name: str, size: tuple[int, int], channels: int, options: Mapping[str, Any]) -> bool:
    """Whether a model takes images of a size as it is."""
    import timm

    try:
        with _without_memory():
            model = timm.create_model(name, pretrained=False, in_chans=channels, features_only=True, **options)
            assert isinstance(model, nn.Module)
            model.eval()(torch.zeros(1, channels, *size))
    except Exception:  # the library refuses in its own ways
        return False
    return True


def check_patch(name: str, size: tuple[int, int] | None, patch: int) -> None:
    """Checks that a plain vision transformer can cut images into whole patches.

    Args:
        name: timm's name of the model.
        size: height and width of the images; None if they are not known.
        patch: side of a patch in pixels.

    Raises:
        ConfigError: if a side is no multiple of the patch.
    """
    for side in size or ():
        if side % patch:
            below, above = side // patch * patch, (side // patch + 1) * patch
            near = f"{below} or {above}" if below else str(above)
            raise ConfigError(
                f"data.size is {side}, but backbone '{name}' cuts images into patches of {patch} px; "
                f"set data.size={near}"
            )


@contextmanager
def _without_memory() -> Iterator[None]:
    with torch.device("meta"), torch.random.fork_rng(devices=[]), torch.no_grad():
        yield
