"""Random squares of whole images for training: where they lie, as a function of random numbers alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.config.suggest import nearest
from tandem.data.batch import MISSING_PIXEL
from tandem.data.files.placement import WHOLES
from tandem.errors import ConfigError

CROPS = ("centre", "random")
"""The values of `data.crop`; the first is the neutral one."""

DRAWS = 4
"""Random numbers for each square."""

Pixels = NDArray[Any]


@dataclass(frozen=True)
class Crops:
    """That training squares are drawn at random.

    Attributes:
        foreground: share of them, in [0, 1], in whose middle is a pixel of the foreground, if the image has any.
    """

    foreground: float = 0.0


def read_crops(crop: object, foreground: object, fit: str) -> Crops | None:
    """Reads the options `data.crop` and `data.foreground_crops`; None: the square of an image is the central one.

    Args:
        crop: `centre` or `random`.
        foreground: see `Crops`.
        fit: the option `data.fit`.

    Raises:
        ConfigError: they have other values, or do not fit together.
    """
    if crop not in CROPS:
        raise ConfigError(f"data.crop is {crop!r}: {nearest(str(crop), CROPS)}")
    number = isinstance(foreground, int | float) and not isinstance(foreground, bool)
    if not number or not 0 <= foreground <= 1:  # type: ignore[operator]  # it is a number
        raise ConfigError(f"data.foreground_crops is {foreground!r}, but must be a share from 0 to 1")
    if crop == "centre":
        if foreground:
            raise ConfigError(f"data.foreground_crops is {foreground} without effect: set data.crop=random too")
        return None
    if fit not in WHOLES:
        raise ConfigError(
            f"data.crop=random needs data.fit=crop or data.fit=native; with data.fit={fit} a square is the whole image"
        )
    return Crops(float(foreground))  # type: ignore[arg-type]  # it is a number


class Images(Protocol):
    """Whole images with their masks, of several sizes; each is as large as a square or larger.

    Attributes:
        foreground: see `Crops`.
    """

    foreground: float

    def open(self) -> None:
        """Makes them ready in this process, so that its workers need not."""

    def __getitem__(self, row: int) -> tuple[Pixels, Pixels]:
        """The image, (C, h, w), and the masks, (K, h, w); views that may be read until the next call of `release`."""

    def release(self) -> None:
        """Frees the memory that rows took, if they need more than there is."""


@dataclass(frozen=True)
class Whole:
    """The whole images of a split's rows, from which its random squares are cut.

    Attributes:
        parts: whole images, of one or several data sets.
        where: (N, 2) int64, the part and the row in it of each row of the split.
        side: of a square.
        hidden: (N,) bool, the rows whose masks count as unknown, also where a square is drawn; None: no row.
    """

    parts: tuple[Images, ...]
    where: Tensor
    side: int
    hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.where)

    def open(self) -> None:
        """Makes the images ready in this process."""
        for part in self.parts:
            part.open()

    def pick(self, index: Tensor) -> "Whole":
        """Those of some rows, in the given order."""
        return Whole(self.parts, self.where[index], self.side, None if self.hidden is None else self.hidden[index])

    def squares(self, index: Tensor, numbers: NDArray[np.float64], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cuts a square from the images of some rows.

        Args:
            index: (n,) rows of the split.
            numbers: (n, DRAWS) in [0, 1), see `corner`.
            dtype: of the images.

        Returns:
            (n, C, side, side) and (n, K, side, side).
        """
        images, masks, side = [], [], self.side
        hidden = [False] * len(numbers) if self.hidden is None else self.hidden[index].tolist()
        for (part, row), drawn, unknown in zip(self.where[index].tolist(), numbers, hidden, strict=True):
            image, mask = self.parts[part][row]
            mask = np.full_like(mask, MISSING_PIXEL) if unknown else mask  # before its foreground draws the place
            top, left = corner(mask, (image.shape[-2], image.shape[-1]), side, drawn, self.parts[part].foreground)
            images.append(torch.from_numpy(image[:, top : top + side, left : left + side].copy()).to(dtype))
            masks.append(torch.from_numpy(mask[:, top : top + side, left : left + side].copy()))
        for one in self.parts:
            one.release()
        return torch.stack(images), torch.stack(masks)


class Squares:
    """Rows that have no more than their square.

    Args:
        images: (N, C, S, S), in memory or not.
        masks: (N, K, S, S).
    """

    foreground = 0.0

    def __init__(self, images: Tensor, masks: Tensor) -> None:
        self.images, self.masks = images, masks

    def open(self) -> None:
        """Nothing to do."""

    def release(self) -> None:
        """Nothing to do."""

    def __getitem__(self, row: int) -> tuple[Pixels, Pixels]:
        """The square."""
        return self.images[row].numpy(), self.masks[row].numpy()


def join_whole(parts: Sequence[Whole]) -> Whole:
    """Concatenates the rows of several data sets."""
    starts = np.cumsum([0, *(len(part.parts) for part in parts)]).tolist()
    where = [part.where + torch.tensor([start, 0]) for part, start in zip(parts, starts, strict=False)]
    known = [torch.zeros(len(part), dtype=torch.bool) if part.hidden is None else part.hidden for part in parts]
    hidden = torch.cat(known) if any(part.hidden is not None for part in parts) else None
    return Whole(tuple(one for part in parts for one in part.parts), torch.cat(where), parts[0].side, hidden)


def corner(
    masks: Pixels, size: tuple[int, int], side: int, numbers: NDArray[np.float64], foreground: float
) -> tuple[int, int]:
    """Draws the first row and column of a square inside an image.

    All places have the same probability; but with the probability `foreground`, a pixel of the foreground is drawn, and
    the square lies around it, or as near as the image's border allows. Its class or channel is drawn among those that
    the image has, so that a small one is seen as often as a large one.

    Args:
        masks: (K, h, w) with 0 for background and 255 for unknown.
        size: h and w.
        side: of the square; no more than h and w.
        numbers: (DRAWS,) in [0, 1).
        foreground: the probability; without effect on images without any foreground.

    Source: the oversampling of foreground in nnU-Net (Isensee et al., 2021), where a third of the patches is forced.
    """
    rest = (size[0] - side, size[1] - side)
    if not any(rest):
        return 0, 0
    if numbers[0] < foreground:
        counts = [np.bincount(mask.ravel(), minlength=MISSING_PIXEL + 1) for mask in masks]
        found = [np.flatnonzero(count[1:MISSING_PIXEL]) + 1 for count in counts]
        if named := [(channel, int(value)) for channel, values in enumerate(found) for value in values]:
            channel, value = named[int(numbers[1] * len(named))]
            places = np.flatnonzero(masks[channel] == value)
            row, column = divmod(int(places[int(numbers[2] * len(places))]), size[1])
            middle = (row - side // 2, column - side // 2)
            return min(max(0, middle[0]), rest[0]), min(max(0, middle[1]), rest[1])
    return int(numbers[2] * (rest[0] + 1)), int(numbers[3] * (rest[1] + 1))
