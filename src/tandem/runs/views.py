"""Prepares images for networks: files of the formats that training reads, and arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.files.images import PLAIN, ReadOptions, read_raster, rgb, shown_through
from tandem.data.files.levels import checked_range
from tandem.data.files.pillow_reader import composited, from_pillow
from tandem.data.files.placement import WHOLES, Placement, fit_of
from tandem.data.files.raster import Levels, Raster, fit, to_unit
from tandem.errors import ConfigError, DataError
from tandem.runs.windows import Windows

if TYPE_CHECKING:
    from tandem.runs.restore import TrainedRun

SIXTEEN_BITS: Levels = (0.0, 65535.0)
"""Black and white of images of more than 8 bits for a run that has seen none."""


@dataclass(frozen=True)
class View:
    """How images are prepared for a run's network.

    Attributes:
        size: side of the square in pixels.
        channels: 1 for grey, 3 for RGB.
        levels: black and white of images of more than 8 bits, several pairs if the run has several.
        options: how files become pixels.
        deep: whether the run was trained on images of more than 8 bits.
        fit: how images of any aspect ratio become squares.
        windows: windows that pass over what the image becomes, which is then no square with `fit=crop` and `native`;
            None: the network sees it at once.
    """

    size: int
    channels: int
    levels: tuple[Levels, ...] = (SIXTEEN_BITS,)
    options: ReadOptions = PLAIN
    deep: bool = False
    fit: str = "squash"
    windows: Windows | None = None

    @property
    def plain(self) -> "View":
        """The same without windows."""
        return replace(self, windows=None)

    @property
    def several(self) -> bool:
        """Whether an image can need more than one window."""
        return self.windows is not None and (self.fit in WHOLES or self.size > self.windows.side)

    @property
    def _how(self) -> str:
        return self.fit if self.windows is None else WHOLES.get(self.fit, self.fit)

    def place(self, height: int, width: int) -> Placement:
        """Where an image of this size lies in the square, or in what windows pass over."""
        return Placement(self._how, height, width, self.size)

    def of(self, raster: Raster, name: str) -> NDArray[Any]:
        """Prepares an image as in training: (channels, size, size), uint8, or float32 in [0, 1] if it is deep.

        With windows, and `fit=crop` or `native`, it has as many rows and columns as the image needs; see
        `Placement.cells`.

        Args:
            raster: the result of `open_any`.
            name: for messages.

        Raises:
            DataError: levels of the image are not known to the run, or the run has several pairs of them.
        """
        pixels = fit(raster, self.size, self.channels, self._how)
        if not raster.deep:
            return pixels
        if len(self.levels) > 1:
            pairs = ", ".join(f"[{low:g},{high:g}]" for low, high in self.levels)
            raise DataError(
                f"image {name!r} has more than 8 bits, and the run's data sets have different levels of black and "
                f"white ({pairs}): choose one with data.grey_range=[low,high]"
            )
        (ends,) = self.levels
        if not self.deep and raster.pixels.dtype != np.uint16:
            raise DataError(
                f"image {name!r} has levels {_ends(raster)}, but the run holds no levels of black and white: set them "
                "with data.grey_range=[low,high]"
            )
        unit: NDArray[Any] = to_unit(torch.from_numpy(pixels), torch.tensor(ends)).numpy()
        return unit

    def remarks(self, raster: Raster) -> dict[str, str]:
        """What a user has to know about how an image is read, by kind, so that each kind can be said once."""
        found = {}
        if raster.transparent:
            red, green, blue = self.options.background
            found["transparent"] = f"has transparent pixels, composited on #{red:02x}{green:02x}{blue:02x}"
        if raster.deep and not self.deep:
            found["deep"] = (
                f"has levels {_ends(raster)}, but the run holds no levels of black and white: 0 is read as black and "
                "65535 as white; if that is wrong, set data.grey_range=[low,high]"
            )
        return found


def _ends(raster: Raster) -> str:
    return f"from {float(raster.pixels.min()):g} to {float(raster.pixels.max()):g}"


def view_of(run: "TrainedRun", changes: Mapping[str, Any], overlap: float | None = None) -> View:
    """Returns how images are prepared for a run's network.

    Args:
        run: a finished run.
        changes: `size`, `grey_range`, `background` and `window`, if they differ from training.
        overlap: of windows of the training's size; None: there are none.

    Raises:
        ConfigError: if the size is unknown or out of range, or the grey range is invalid.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    trained = _of_source(run.config["data"])
    options = {**trained, **given}
    size = options.get("size")
    read = ReadOptions(
        rgb(options.get("background") or "black", "data.background"), shown_through(options.get("window"))
    )
    if type(size) is not int or not 8 <= size <= 4096:
        raise ConfigError(f"data.size is {size!r} for run={run.folder}; set it to an integer from 8 to 4096")
    asked = checked_range(given.get("grey_range"))
    before = checked_range(options.get("grey_range")) or SIXTEEN_BITS  # of runs whose checkpoint holds no levels
    levels = (asked,) if asked else run.levels or (before,)
    deep = bool(asked or run.levels or options.get("grey_range"))
    side = trained.get("size")
    windows = None if overlap is None else Windows(min(size, side) if isinstance(side, int) else size, overlap)
    return View(size, run.info.channels, levels, read, deep, fit_of(run.config["data"]), windows)


def _of_source(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the data options; for mixed sources, missing ones come from the first source."""
    first: Mapping[str, Any] = next(iter((data.get("sources") or {}).values()), {})
    own = {key: value for key, value in data.items() if value is not None}
    return {**{key: first.get(key) for key in ("size", "grey_range", "background", "window")}, **own}


def open_any(source: Any, options: ReadOptions = PLAIN) -> Raster:
    """Opens an image from a file or from memory, upright.

    Args:
        source: a path of a file of the formats that training reads; a Pillow image; an array (H, W) or (H, W, C), or a
            tensor (H, W) or (C, H, W), of uint8, of uint16, or of floats in [0, 1], with C 1, 3 or 4.
        options: how files become pixels.

    Raises:
        DataError: if the source is none of these, or a file is damaged or has several pages.
    """
    from PIL import Image, ImageOps

    if isinstance(source, str | Path):
        return read_raster(Path(source), options)
    if isinstance(source, Image.Image):
        return from_pillow(ImageOps.exif_transpose(source), options.background, "in memory")
    if isinstance(source, np.ndarray | Tensor):
        return _from_array(source, options.background)
    raise DataError(f"{type(source).__name__} is not an image; give a path, Pillow image, array or tensor")


def _from_array(source: NDArray[Any] | Tensor, background: tuple[int, int, int]) -> Raster:
    is_tensor = isinstance(source, Tensor)
    array = source.detach().cpu().numpy() if isinstance(source, Tensor) else source
    shape, dtype = tuple(array.shape), array.dtype
    if is_tensor and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or 0 in shape or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        wanted = "(H, W) or (C, H, W)" if is_tensor else "(H, W) or (H, W, C)"
        raise DataError(
            f"{'a tensor' if is_tensor else 'an array'} of shape {shape} is not an image {wanted}, C 1, 3 or 4"
        )
    if np.issubdtype(dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise DataError("an image of floats has values outside [0, 1] or nan; scale it, or give uint8")
        array = np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    elif array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    elif dtype not in (np.uint8, np.uint16):
        raise DataError(f"an image of dtype {dtype} is not supported; give uint8, uint16, or floats in [0, 1]")
    return composited(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array, background)
