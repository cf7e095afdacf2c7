"""Plain vision transformers as encoders: one stride, and the tokens of several blocks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tandem.errors import ConfigError
from tandem.network.dry_run import dry_run


class PlainTransformer(nn.Module):
    """A plain vision transformer of timm with the interface of an encoder.

    It returns a list: the image, then for each chosen block its tokens without a place (class token and registers) as
    (N, P, D), if the model has any and they are asked for, then for each chosen block its map (N, D, H / p, W / p). All
    have passed the model's last normalisation. Blocks after the last chosen one do not exist, nor does a classifier.

    Args:
        name: timm's name of the model.
        channels: number of image channels.
        size: height and width of the padded images, to which timm interpolates the positions of its weights; None for
            the model's own.
        blocks: how many blocks are read, evenly spaced; the last one is always among them.
        tokens: whether tokens without a place are returned too.
        multiple: sides of the padded images are multiples of it.
        options: further arguments of the model.
        pretrained: whether timm loads its own weights.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, 2021.

    Example:
        >>> encoder = PlainTransformer("test_vit", 1, (64, 64))
        >>> [tuple(level.shape) for level in encoder(torch.zeros(2, 1, 64, 64))]
        [(2, 1, 64, 64), (2, 64, 4, 4)]
    """

    def __init__(
        self,
        name: str,
        channels: int,
        size: tuple[int, int] | None,
        blocks: int = 1,
        tokens: bool = False,
        multiple: int = 1,
        options: Mapping[str, Any] | None = None,
        pretrained: bool = False,
    ) -> None:
        import timm

        super().__init__()
        sized = {} if size is None else {"img_size": size}
        self.model: Any = timm.create_model(
            name, pretrained=pretrained, in_chans=channels, **{**sized, **(options or {})}
        )
        if not hasattr(self.model, "forward_intermediates"):
            raise ConfigError(f"backbone '{name}' does not offer maps of its blocks; choose a vision transformer")
        found = self.model.feature_info
        count = len(found)
        if not 1 <= blocks <= count:
            raise ConfigError(f"network.depth is {blocks}, but backbone '{name}' has blocks 1 to {count} to read")
        self.indices = [count * number // blocks - 1 for number in range(1, blocks + 1)]
        self.model.prune_intermediate_layers(self.indices, prune_norm=False, prune_head=True)
        last = found[self.indices[-1]]
        self.patch = int(last["reduction"])
        self.tokens = tokens and int(getattr(self.model, "num_prefix_tokens", 0)) > 0
        self.width = self._measured(channels, size, int(last["num_chs"]))
        self.out_channels = [channels, self.width]
        self.output_stride = max(multiple, self.patch)

    def _measured(self, channels: int, size: tuple[int, int] | None, width: int) -> int:
        """Channels of the last map: the last layer of some models, such as SAM's, has others than its blocks."""
        if size is None:
            return width
        try:
            return int(dry_run(self, torch.zeros(1, channels, *size))[-1].shape[1])
        except Exception:  # a model that does not run without values
            return width

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps (N, C, H, W) images to the list of the class's description."""
        more = {"return_prefix_tokens": True} if self.tokens else {}
        found = self.model.forward_intermediates(
            image, indices=self.indices, norm=True, intermediates_only=True, **more
        )
        if not self.tokens:
            return [image, *found]
        return [image, *(tokens for _, tokens in found), *(place for place, _ in found)]
