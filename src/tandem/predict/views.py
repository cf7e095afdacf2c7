"""Prepares images for networks: any file that Pillow reads, or an array, to uint8 of a run's size and channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.files.images import DEEP_MODES, FORMATS, MODES, fit, open_image, shallow
from tandem.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from tandem.runs.restore import TrainedRun

FOREIGN = ("EPS",)
"""Formats that Pillow opens with an external program."""

SHALLOW_MODES = (*MODES, "RGBX", "RGBa", "CMYK", "YCbCr", "HSV")
"""Pillow's modes with 8 bits per channel that convert to grey or RGB."""


@dataclass(frozen=True)
class View:
    """How images are prepared for a run's network.

    Attributes:
        size: side of the square in pixels.
        channels: 1 for grey, 3 for RGB.
        grey_range: levels of images deeper than 8 bits that map to black and white; None: 0 and 65535.
    """

    size: int
    channels: int
    grey_range: tuple[float, float] | None = None

    def of(self, image: "Image", name: str) -> NDArray[np.uint8]:
        """Prepares an image as in training; returns (channels, size, size).

        Args:
            image: the result of `open_any`.
            name: for messages.

        Raises:
            DataError: if grey levels do not fit the range.
        """
        return fit(shallow(image, Path(name), self.grey_range), self.size, self.channels)


def view_of(run: "TrainedRun", changes: Mapping[str, Any]) -> View:
    """Returns how images are prepared for a run's network.

    Args:
        run: a finished run.
        changes: `size` and `grey_range`, if they differ from training.

    Raises:
        ConfigError: if the size is unknown or out of range, or the grey range is invalid.
    """
    options = {**_of_source(run.config["data"]), **{key: value for key, value in changes.items() if value is not None}}
    size, ends = options.get("size"), options.get("grey_range")
    if type(size) is not int or not 8 <= size <= 4096:
        raise ConfigError(f"data.size is {size!r} for run={run.folder}; set it to an integer from 8 to 4096")
    if ends is not None and (len(ends) != 2 or not ends[0] < ends[1]):
        raise ConfigError(f"data.grey_range is {list(ends)}, but must be [black, white] with black < white")
    return View(size, run.info.channels, None if ends is None else (float(ends[0]), float(ends[1])))


def _of_source(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the data options; for mixed sources, missing ones come from the first source."""
    first: Mapping[str, Any] = next(iter((data.get("sources") or {}).values()), {})
    own = {key: value for key, value in data.items() if value is not None}
    return {**{key: first.get(key) for key in ("size", "grey_range")}, **own}


def open_any(source: Any) -> "Image":
    """Opens an image from a file or from memory, upright.

    Args:
        source: a path of any format that Pillow reads without an external program; a Pillow image; an array (H, W) or
            (H, W, C), or a tensor (H, W) or (C, H, W), of uint8, or of floats in [0, 1], with C 1, 3 or 4; arrays
            (H, W) of uint16 are deep grey.

    Returns:
        The image, with its orientation tag applied, in a mode with 8 bits per channel or a deep grey mode.

    Raises:
        DataError: if the source is none of these, or a file is damaged or has several pages.
    """
    from PIL import Image, ImageOps

    if isinstance(source, str | Path):
        Image.init()
        others = sorted(set(Image.OPEN) - {*FORMATS, *FOREIGN})
        try:
            return open_image(Path(source), (*SHALLOW_MODES, *DEEP_MODES), (*FORMATS, *others))
        except DataError:
            raise
        except Exception as error:  # Pillow's decoders may raise anything for a damaged file
            raise DataError(f"image {str(source)!r} is damaged ({' '.join(str(error).split())[:200]})") from error
    if isinstance(source, Image.Image):
        image = ImageOps.exif_transpose(source)
    elif isinstance(source, np.ndarray | Tensor):
        image = _from_array(source)
    else:
        raise DataError(f"{type(source).__name__} is not an image; give a path, Pillow image, array or tensor")
    if image.mode not in (*SHALLOW_MODES, *DEEP_MODES):
        raise DataError(f"an image of Pillow's mode {image.mode} cannot be converted to grey or RGB; convert it first")
    return image


def _from_array(source: NDArray[Any] | Tensor) -> "Image":
    from PIL import Image

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
    elif dtype != np.uint8 and not (dtype == np.uint16 and array.ndim == 2):
        raise DataError(f"an image of dtype {dtype} is not supported; give uint8, or floats in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array))
