"""A small discriminator of image and mask."""

from torch import Tensor, nn

from tandem.errors import ConfigError, DataError


class PatchDiscriminator(nn.Module):
    """Strided convolutions that score each patch of an image with its mask.

    `depth` convolutions of 4x4 at half the size of the one before, the first `width` wide, each next one twice as
    wide, then one of 3x3 to the score; leaky ReLUs, and layer normalisation (over each image separately, so that a
    gradient penalty is valid) after all convolutions but the first and the last. A score sees a patch of 18
    pixels at depth 2, 38 at depth 3, 78 at depth 4.

    Source: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, 2017 (PatchGAN).

    Args:
        channels: of image and mask together.
        width: channels of the first convolution, at least 1.
        depth: number of halvings, at least 1.

    Raises:
        ConfigError: a number below its minimum.

    Example:
        >>> import torch
        >>> PatchDiscriminator(channels=2)(torch.zeros(4, 2, 32, 32)).shape
        torch.Size([4, 1, 4, 4])
    """

    def __init__(self, channels: int, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        for name, value in (("width", width), ("depth", depth)):
            if value < 1:
                raise ConfigError(f"{name} is {value}, but must be at least 1")
        self.smallest = 2**depth
        layers: list[nn.Module] = []
        for level in range(depth):
            wider = width * 2**level
            layers.append(nn.Conv2d(channels, wider, 4, stride=2, padding=1))
            if level:
                layers.append(nn.GroupNorm(1, wider))
            layers.append(nn.LeakyReLU(0.2))
            channels = wider
        layers.append(nn.Conv2d(channels, 1, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pair: Tensor) -> Tensor:
        """(N, C, H, W) images and masks in [0, 1] to (N, 1, H // 2^depth, W // 2^depth) scores.

        Raises:
            DataError: images below 2^depth pixels.
        """
        if min(pair.shape[-2:]) < self.smallest:
            raise DataError(
                f"images of {pair.shape[-2]} x {pair.shape[-1]} are too small for a discriminator that halves them "
                f"down from {self.smallest}; lower its depth"
            )
        scores: Tensor = self.layers(2 * pair - 1)
        return scores
