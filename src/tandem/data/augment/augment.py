"""The module that augments a batch; `conf/augment` sets its options."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tandem.data.augment.fields import normal_field, uniform_field
from tandem.data.augment.greys import blur, saturate
from tandem.data.augment.places import FOLD, NUMBERS, affine_grid, displacements, move
from tandem.data.batch import Batch
from tandem.errors import ConfigError

LIMITS = {
    "horizontal_flip": 1.0,
    "vertical_flip": 1.0,
    "rotate": 180.0,
    "shift": 1.0,
    "elastic": FOLD,
    "brightness": 1.0,
    "contrast": 1.0,
    "gamma": 10.0,
    "saturation": 1.0,
    "blur": 0.1,
    "speckle": 1.0,
    "noise": 1.0,
}
"""The largest value of each option; the smallest is 0, which switches it off."""

SPECKLE, NOISE, ELASTIC = range(3)  # streams of random fields, one for each purpose


class Augment(nn.Module):
    """Random geometric and intensity transforms, drawn separately for each row.

    Output pixel x of row n is read at `A_n x + t_n + d_n(x)`, with a smooth displacement field `d_n` (Simard et al.,
    "Best practices for convolutional neural networks", ICDAR 2003). The grey values g are then changed in this order:

    * contrast and brightness: `c_n (g - m_n) + m_n + b_n` with `m_n` the image's mean, clipped to [0, 1]
    * gamma: `g^e_n`; colour saturation; Gaussian blur
    * speckle: `g (1 + s_n z)`, and noise: `g + r_n z`, with standard normal `z` for each pixel, shared by all channels

    Images are interpolated bilinearly, masks by nearest neighbour, which keeps their values; both are mirrored at the
    borders. The random numbers come from `batch["draw"]`; no generator is used.

    Args:
        horizontal_flip: probability of a left-right flip.
        vertical_flip: probability of an up-down flip.
        rotate: largest rotation in either direction, in degrees.
        scale: smallest and largest magnification; 1.2 shows the lesion 1.2 times as large.
        shift: largest shift along each axis, as a fraction of the image's side.
        elastic: largest displacement along each axis, as a fraction of the image's side, 0 to 0.12.
        brightness: largest offset `b` in either direction, in units of the grey range [0, 1].
        contrast: the factor `c` is in [1 - contrast, 1 + contrast].
        gamma: the exponent `e` is in [1 / (1 + gamma), 1 + gamma].
        saturation: the factor is in [1 - saturation, 1 + saturation]; affects RGB images only.
        blur: largest standard deviation, as a fraction of the image's shorter side, 0 to 0.1.
        speckle: largest `s`.
        noise: largest `r`, in units of the grey range.

    Raises:
        ConfigError: an option is out of range; the message names it.

    Example:
        >>> batch = Batch(image=torch.rand(2, 1, 8, 8), draw=torch.full((2, 16), 0.5))
        >>> same = Augment(rotate=10)(batch)["image"]
        >>> torch.allclose(same, batch["image"], atol=1e-5)
        True
    """

    def __init__(
        self,
        horizontal_flip: float = 0.0,
        vertical_flip: float = 0.0,
        rotate: float = 0.0,
        scale: Sequence[float] = (1.0, 1.0),
        shift: float = 0.0,
        elastic: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        gamma: float = 0.0,
        saturation: float = 0.0,
        blur: float = 0.0,
        speckle: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in LIMITS}
        super().__init__()
        for name, value in given.items():
            if not 0 <= value <= LIMITS[name]:
                raise ConfigError(f"{name} is {value}, but must lie in [0, {LIMITS[name]:g}]")
        edges = tuple(scale) if isinstance(scale, Sequence) else ()
        if len(edges) != 2 or not 0 < edges[0] <= edges[1] < math.inf:
            raise ConfigError(f"scale is {scale}, but must be [smallest, largest] with 0 < smallest <= largest")
        self.flips = (horizontal_flip, vertical_flip)
        self.angle = math.radians(rotate)
        self.scale = (float(scale[0]), float(scale[1]))
        self.shift, self.elastic = shift, elastic
        self.brightness, self.contrast = brightness, contrast
        self.gamma, self.saturation, self.blur = gamma, saturation, blur
        self.speckle, self.noise = speckle, noise
        self.moves = any(self.flips) or rotate > 0 or self.scale != (1.0, 1.0) or shift > 0 or elastic > 0

    def forward(self, batch: Batch) -> Batch:
        """Returns the augmented batch; targets other than masks are unchanged."""
        changed = batch.copy()
        kind = batch["image"].dtype  # depends on trainer.precision; the transforms need at least single precision
        image, draw = (batch[key].to(torch.promote_types(kind, torch.float32)) for key in ("image", "draw"))
        if self.moves:
            grid = self._grid(draw, (image.shape[-2], image.shape[-1]))
            image = move(image, grid, "bilinear")
            if "mask" in batch:
                changed["mask"] = move(batch["mask"].to(grid.dtype), grid, "nearest").to(batch["mask"].dtype)
        if self.brightness or self.contrast:
            image = self._grey(image, draw)
        if self.gamma or self.saturation or self.blur or self.speckle or self.noise:
            image = self._degrade(image.clamp(0, 1), draw).clamp(0, 1)
        changed["image"] = image.to(kind)
        return changed

    def _grid(self, draw: Tensor, size: tuple[int, int]) -> Tensor:
        grid = affine_grid(self._matrices(draw, size), size)
        if not self.elastic:
            return grid
        numbers = 2 * uniform_field(draw[:, 14:16], ELASTIC, NUMBERS) - 1
        strength = 2 * self.elastic * draw[:, 12].view(-1, 1)  # coordinates run from -1 to 1, so an image is 2 wide
        return grid + displacements(strength * numbers, size)

    def _matrices(self, draw: Tensor, size: Sequence[int]) -> Tensor:
        """Affine matrices, (N, 2, 3), from output to input pixels in [-1, 1], corrected for the aspect ratio."""
        height, width = size
        signed = 2 * draw - 1
        sx = torch.where(draw[:, 0] < self.flips[0], -1.0, 1.0)
        sy = torch.where(draw[:, 1] < self.flips[1], -1.0, 1.0)
        turn = self.angle * signed[:, 2]
        low, high = (math.log(edge) for edge in self.scale)
        shrink = torch.exp(-(low + (high - low) * draw[:, 3]))
        cos, sin = torch.cos(turn) * shrink, torch.sin(turn) * shrink
        first = torch.stack([sx * cos, -sx * sin * height / width, 2 * self.shift * signed[:, 4]], dim=1)
        second = torch.stack([sy * sin * width / height, sy * cos, 2 * self.shift * signed[:, 5]], dim=1)
        return torch.stack([first, second], dim=1)

    def _grey(self, image: Tensor, draw: Tensor) -> Tensor:
        shape = (-1, 1, 1, 1)
        factor = (1 + self.contrast * (2 * draw[:, 6] - 1)).view(shape)
        offset = (self.brightness * (2 * draw[:, 7] - 1)).view(shape)
        mean = image.mean(dim=(1, 2, 3), keepdim=True)
        return ((image - mean) * factor + mean + offset).clamp(0, 1)

    def _degrade(self, image: Tensor, draw: Tensor) -> Tensor:
        count, _, height, width = image.shape
        amount = draw.view(count, -1, 1, 1, 1)
        if self.gamma:
            image = image ** torch.exp(math.log1p(self.gamma) * (2 * amount[:, 8] - 1))
        if self.saturation:
            image = saturate(image, 1 + self.saturation * (2 * amount[:, 13] - 1)).clamp(0, 1)
        if self.blur:
            largest = self.blur * min(height, width)
            image = blur(image, largest * amount[:, 9], largest)
        for largest, column, purpose in ((self.speckle, 11, SPECKLE), (self.noise, 10, NOISE)):
            if largest:
                field = normal_field(draw[:, 14:16], purpose, height * width).view(count, 1, height, width)
                image = image + largest * amount[:, column] * field * (image if purpose == SPECKLE else 1)
        return image
