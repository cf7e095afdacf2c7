"""Augmentation of whole batches, image and mask together, as a pure function of the batch and its random numbers."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tandem.data.batch import Batch
from tandem.errors import ConfigError


class Augment(nn.Module):
    """Random flips, rotation, scale, shift, brightness and contrast, each row with its own.

    Row n is moved by `x -> A_n x + t_n` and its grey values become `g' = c_n (g - m_n) + m_n + b_n` with `m_n` the
    picture's mean. Images are read bilinearly, masks at the nearest pixel, so that 0, 1 and 255 stay what they are;
    what lies outside is mirrored in both alike. The numbers come from `batch["draw"]`; no generator is used.

    Args:
        horizontal_flip: probability of a left-right flip.
        vertical_flip: probability of an up-down flip.
        rotate: largest turn to either side, in degrees.
        scale: smallest and largest enlargement; 1.2 shows the lesion 1.2 times as large.
        shift: largest shift along each axis, as a share of the picture.
        brightness: largest change `b` to either side, in units of the grey range [0, 1].
        contrast: the factor `c` lies in [1 - contrast, 1 + contrast].

    Raises:
        ConfigError: a value out of range, with its name.

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
        brightness: float = 0.0,
        contrast: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value, top in (
            ("horizontal_flip", horizontal_flip, 1.0),
            ("vertical_flip", vertical_flip, 1.0),
            ("rotate", rotate, 180.0),
            ("shift", shift, 1.0),
            ("brightness", brightness, 1.0),
            ("contrast", contrast, 1.0),
        ):
            if not 0 <= value <= top:
                raise ConfigError(f"{name} is {value}, but must lie in [0, {top:g}]")
        edges = tuple(scale) if isinstance(scale, Sequence) else ()
        if len(edges) != 2 or not 0 < edges[0] <= edges[1] < math.inf:
            raise ConfigError(f"scale is {scale}, but must be [smallest, largest] with 0 < smallest <= largest")
        self.flips = (horizontal_flip, vertical_flip)
        self.angle = math.radians(rotate)
        self.scale = (float(scale[0]), float(scale[1]))
        self.shift = shift
        self.brightness = brightness
        self.contrast = contrast
        self.moves = any(self.flips) or rotate > 0 or self.scale != (1.0, 1.0) or shift > 0

    def forward(self, batch: Batch) -> Batch:
        """The augmented batch; targets that are not pictures are kept as they are."""
        changed = batch.copy()
        draw = batch["draw"]
        if self.moves:
            matrix = self._matrices(draw, batch["image"].shape[-2:])
            changed["image"] = _move(batch["image"], matrix, "bilinear")
            if "mask" in batch:
                changed["mask"] = _move(batch["mask"].float(), matrix, "nearest").to(batch["mask"].dtype)
        if self.brightness or self.contrast:
            changed["image"] = self._grey(changed["image"], draw)
        return changed

    def _matrices(self, draw: Tensor, size: Sequence[int]) -> Tensor:
        """(N, 2, 3): where each output pixel is read, in coordinates from -1 to 1, whatever the aspect ratio."""
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


def _move(picture: Tensor, matrix: Tensor, mode: str) -> Tensor:
    grid = F.affine_grid(matrix, list(picture.shape), align_corners=False)
    return F.grid_sample(picture, grid, mode=mode, padding_mode="reflection", align_corners=False)
