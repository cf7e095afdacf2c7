"""Reads NIfTI files of one slice: their levels, and their axes and pixel spacing by the affine."""

import gzip
import logging
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.files.limits import check_pixels, check_room
from tandem.data.files.raster import Header, Raster
from tandem.data.files.scan_errors import scan_errors
from tandem.errors import DataError
from tandem.utils import optional
from tandem.utils.files import check_regular

NIFTI_ENDINGS = (".nii", ".nii.gz")
"""File name suffixes of NIfTI files, in lower case."""

WHAT = "reading NIfTI files"

SIZES = {348: "Nifti1Header", 540: "Nifti2Header"}
"""Bytes of a header, which it begins with, and nibabel's name of it."""

LARGEST_OFFSET = 2**26
"""Bytes before the pixels; a larger header is not believed."""

TO_MILLIMETRES = {"mm": 1.0, "meter": 1000.0, "micron": 0.001, "unknown": 1.0}

TAGS = {
    (False, False, False): 1,
    (False, True, False): 2,
    (False, True, True): 3,
    (False, False, True): 4,
    (True, False, False): 5,
    (True, True, False): 6,
    (True, True, True): 7,
    (True, False, True): 8,
}
"""EXIF's number of an orientation: whether axes are exchanged, then columns reversed, then rows."""


@dataclass(frozen=True)
class Placed:
    """How the stored slice of a NIfTI file becomes an image.

    Attributes:
        axes: which stored axes run down and across the image.
        reversed: whether the rows and the columns are reversed.
        spacing: height and width of a pixel in millimetres; None if the file does not state them.
    """

    axes: tuple[int, int]
    reversed: tuple[bool, bool]
    spacing: tuple[float, float] | None

    @property
    def orientation(self) -> int:
        """The EXIF tag that has the same effect on the stored slice, whose first axis runs across and second down."""
        exchanged = self.axes[0] < self.axes[1]
        return TAGS[exchanged, self.reversed[1], self.reversed[0]]

    def upright(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Turns a stored array into (H, W)."""
        down, across = self.axes
        rest = tuple(axis for axis in range(stored.ndim) if axis not in self.axes)
        image = stored.transpose(down, across, *rest).reshape(stored.shape[down], stored.shape[across])
        return np.ascontiguousarray(image[:: -1 if self.reversed[0] else 1, :: -1 if self.reversed[1] else 1])

    def stored(self, image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Turns (H, W) into an array of the shape of the file: the inverse of `upright`."""
        down, across = self.axes
        turned = image[:: -1 if self.reversed[0] else 1, :: -1 if self.reversed[1] else 1]
        return (turned if down < across else turned.T).reshape(shape)


def header(path: Path) -> Header:
    """Returns what the header of a file says about its pixels.

    Raises:
        DataError: as in `read`.
    """
    found = header_of(path)
    with _errors(path):
        shape, (down, across) = _shape(found), placed(found).axes
        kind = "RGB" if found.get_data_dtype().names else str(found.get_data_dtype().newbyteorder("="))
        return Header(shape[across], shape[down], kind, "NIfTI")


def dtype(path: Path, window: bool = False) -> np.dtype[Any]:
    """Returns the dtype of the pixels that `read` will return, from the header of a file.

    Raises:
        DataError: as in `read`.
    """
    with _errors(path), _opened(path) as file:
        header = _header(file, path)
        return np.dtype(np.uint8) if window and header.get_data_dtype().names is None else _dtype(header)


def read(path: Path, window: bool = False) -> Raster:
    """Reads a NIfTI file of one slice.

    The image is turned by the file's affine to the directions of DICOM: its columns run to the patient's left, its rows
    to posterior (in a coronal slice to inferior; in a sagittal one columns run to posterior and rows to inferior). Of
    an oblique slice, each axis counts as the nearest direction. A file without orientation (both codes 0) is used as
    stored: its first axis runs across, its second down. Levels are those after slope and intercept of the file.

    Args:
        path: the file.
        window: apply the file's display range (cal_min, cal_max), and return 8 bits.

    Raises:
        ConfigError: the extra `nifti` is not installed.
        DataError: the file is absent, damaged, a volume, or has numbers of a kind that is not read.

    Source: Cox et al., A (sort of) new image data format standard: NIfTI-1, 2004.
    """
    with _errors(path), _opened(path) as file:
        header = _header(file, path)
        place = placed(header)
        levels = (
            place.upright(_stored(header, file, path))
            if header.get_data_dtype().names is None
            else _rgb(header, place, file, path)
        )
        if window and levels.ndim == 2:
            levels = _windowed(levels, header, path)
        return Raster(levels, place.spacing, place.orientation)


def header_of(path: Path) -> Any:
    """Returns nibabel's header of a file, after its checks.

    Raises:
        DataError: as in `read`.
    """
    with _errors(path), _opened(path) as file:
        return _header(file, path)


def placed(header: Any) -> Placed:
    """Finds the axes of a slice from a header."""
    shape = _shape(header)
    first = next((axis for axis, length in enumerate(shape) if length == 1), 2)
    stored = [axis for axis in range(3) if axis != (first if shape.count(1) == 1 else 2)]
    known = bool(int(header["sform_code"]) or int(header["qform_code"]))
    units = header.get_xyzt_units()[0]
    sizes = [abs(float(size)) * TO_MILLIMETRES.get(units, 1.0) for size in header["pixdim"][1:4]]
    down, across, flips = stored[1], stored[0], (False, False)
    if known:
        affine = header.get_best_affine()
        ornt = optional.load("nibabel.orientations", "nifti", WHAT).io_orientation(affine)
        world = {axis: (int(ornt[axis, 0]), float(ornt[axis, 1])) for axis in stored}
        if not all(math.isfinite(direction) for _, direction in world.values()):
            raise ValueError("the affine has an axis without direction")
        across, down = sorted(stored, key=lambda axis: world[axis][0])
        flips = (world[down][1] > 0, world[across][1] > 0)  # towards right, anterior and superior are positive
        sizes = [float(size) * TO_MILLIMETRES.get(units, 1.0) for size in np.sqrt((affine[:3, :3] ** 2).sum(0))]
    height, width = sizes[down], sizes[across]
    stated = (known or units != "unknown") and 0 < height < math.inf and 0 < width < math.inf
    return Placed((down, across), flips, (height, width) if stated else None)


def _header(file: IO[bytes], path: Path) -> Any:
    """Reads and checks the header; the file stands behind it."""
    nibabel = optional.load("nibabel", "nifti", WHAT)
    logging.getLogger("nibabel.global").propagate = False
    name, block = repr(str(path)), file.read(4)
    sizes = [(known, order) for known in SIZES for order in "<>" if np.frombuffer(block, f"{order}i4")[0] == known]
    if not sizes:
        raise DataError(f"{name} is not a NIfTI file: export it again")
    ((size, order),) = sizes
    header = getattr(nibabel, SIZES[size])(block + file.read(size - 4), order, check=False)
    magic = bytes(header["magic"])[:3]
    if magic not in (b"n+1", b"n+2"):
        what = "a header whose pixels lie in an .img file" if magic in (b"ni1", b"ni2") else "not a NIfTI file"
        raise DataError(f"{name} is {what}: save it as one .nii or .nii.gz file")
    shape = header.get_data_shape()
    whole = (*_padded(shape)[:3], *shape[3:])
    if any(length < 1 for length in whole) or not 1 <= int(header["dim"][0]) <= 7:
        raise DataError(f"image {name} has no pixels ({by_axes(shape)}): export it again")
    if sum(length > 1 for length in whole) > 2 or any(length > 1 for length in whole[3:]):
        raise DataError(
            f"image {name} is a volume or series ({by_axes(shape)}): save the slices to use as files of their own, "
            "since a network sees one image"
        )
    check_pixels(path, math.prod(whole), 1)
    if not header.get_data_offset() <= LARGEST_OFFSET:
        raise DataError(
            f"image {name} is damaged (its pixels begin at byte {header.get_data_offset()}): export it again"
        )
    return header


def by_axes(shape: tuple[int, ...]) -> str:
    """Formats the lengths of axes for messages."""
    return "x".join(map(str, shape)) or "no axes"


def _padded(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, *[1] * (3 - len(shape)))


def _shape(header: Any) -> tuple[int, ...]:
    """Lengths of the three axes of space."""
    return tuple(int(length) for length in _padded(header.get_data_shape())[:3])


def _dtype(header: Any) -> np.dtype[Any]:
    kind = header.get_data_dtype()
    slope, intercept = header.get_slope_inter()
    plain = slope in (None, 1) and intercept in (None, 0)
    if kind.names is not None or (plain and kind == np.uint8):
        return np.dtype(np.uint8)
    return np.dtype(np.uint16 if plain and kind.newbyteorder("=") == np.uint16 else np.float32)


def _numbers(header: Any, file: IO[bytes], path: Path) -> NDArray[Any]:
    """The stored numbers, in the axes of space; not a byte more is decompressed than there should be."""
    kind, shape = header.get_data_dtype(), _shape(header)
    if kind.kind not in "uifV" or (kind.kind == "V" and kind.names is None):
        raise DataError(f"image {str(path)!r} has numbers of a kind that is not read ({kind}): save it as float32")
    need, line = math.prod(shape) * kind.itemsize, sorted(shape)[-2] * kind.itemsize
    file.seek(max(int(header.get_data_offset()), int(header.sizeof_hdr) + 4))
    content = file.read(need + max(2, line))
    check_room(path, len(content), need, line)
    return np.frombuffer(content[:need], kind).reshape(shape, order="F")


def _stored(header: Any, file: IO[bytes], path: Path) -> NDArray[Any]:
    stored, final = _numbers(header, file, path), _dtype(header)
    slope, intercept = header.get_slope_inter()
    if slope not in (None, 1) or intercept not in (None, 0):
        stored = stored.astype(np.float64) * (1 if slope is None else slope) + (intercept or 0)
    return stored.astype(final)


def _rgb(header: Any, place: Placed, file: IO[bytes], path: Path) -> NDArray[np.uint8]:
    """Colours, (H, W, 3)."""
    stored = _numbers(header, file, path)
    if not {"R", "G", "B"} <= set(stored.dtype.names or ()):
        raise DataError(f"image {str(path)!r} has numbers of a kind that is not read: save it as float32 or RGB")
    return np.stack([place.upright(stored[part]) for part in "RGB"], axis=-1)


def _windowed(levels: NDArray[Any], header: Any, path: Path) -> NDArray[np.uint8]:
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if not low < high:
        raise DataError(
            f"image {str(path)!r} has no display range (cal_min, cal_max), which data.window=file asks for: set "
            "data.window=null, and data.grey_range=[low,high] if the levels of black and white are known"
        )
    shown: NDArray[np.uint8] = np.rint(255 * np.clip((levels.astype(np.float64) - low) / (high - low), 0, 1)).astype(
        np.uint8
    )
    return shown


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    check_regular(path)
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            yield file
            return
        file.seek(0)
        with gzip.open(file) as inner:
            yield inner  # type: ignore[misc]  # it reads and seeks


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Errors in one line; those of the compression say so."""
    with scan_errors(path):
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"image {str(path)!r} is truncated or damaged (gzip): export it again") from error
