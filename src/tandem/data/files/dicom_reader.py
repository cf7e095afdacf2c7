"""Reads DICOM files of one frame: their levels, orientation and pixel spacing, and nothing else of their header."""

import logging
import math
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.data.files.dicom_levels import COLOURS, GREYS, WHAT, coloured, kept_as, padding, rescaled, spacing, windowed
from tandem.data.files.limits import check_pixels, check_room, most_pixels
from tandem.data.files.raster import Header, Raster
from tandem.data.files.scan_errors import scan_errors
from tandem.errors import DataError
from tandem.utils import optional
from tandem.utils.files import check_regular

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
"""File name suffixes of DICOM files, in lower case; files of scanners often have none, see `has_mark`."""

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

PALETTE = tuple(
    f"{segmented}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
)

TAGS = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("VOILUTSequence", "PixelSpacing", "ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor"),
    *("SequenceOfUltrasoundRegions", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", *PALETTE),
)
"""What is read of a header. All else, above all who the patient is, is skipped."""

LARGEST_HEADER = 2**28
"""Bytes that a deflated file may have after inflation, besides its pixels."""


def has_mark(path: Path) -> bool:
    """Whether a file begins as DICOM files do, with `DICM` after 128 bytes; not a DICOMDIR, which lists others."""
    if path.name.upper() == "DICOMDIR":
        return False
    try:
        check_regular(path)
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except (OSError, DataError):
        return False


def header(path: Path) -> Header:
    """Returns what the header of a file says about its pixels.

    Raises:
        DataError: as in `read`.
    """
    with _errors(path):
        found = _header(path, with_pixels=False)
        return Header(int(found.Columns), int(found.Rows), str(found.PhotometricInterpretation), "DICOM")


def dtype(path: Path, window: bool = False) -> np.dtype[Any]:
    """Returns the dtype of the pixels that `read` will return, from the header of a file.

    Raises:
        DataError: as in `read`.
    """
    with _errors(path):
        header = _header(path, with_pixels=False)
        return np.dtype(np.uint8) if window and not coloured(header) else kept_as(header)


def read(path: Path, window: bool = False, classes: bool = False) -> Raster:
    """Reads a DICOM file of one frame.

    Grey levels are the stored numbers after the file's rescale slope and intercept (or its modality table), such as
    Hounsfield units. MONOCHROME1, whose lowest level is white, is inverted between the ends of what its bits can hold.
    Padding pixels get the lowest level of the rest. Palettes and YBR become RGB.

    Args:
        path: the file.
        window: apply the file's own window (or table of values of interest), and return 8 bits, as a viewer shows it.
        classes: the numbers are classes of a mask, so nothing is inverted or replaced.

    Raises:
        ConfigError: the extra `dicom` is not installed.
        DataError: the file is absent, damaged, has no image or several frames, or is stored in a way that cannot be
            read. The message holds nothing of its header.

    Source: DICOM PS3.3, C.7.6.3 (pixels), C.11.1 (rescale) and C.11.2 (window).
    """
    with _errors(path):
        header = _header(path, with_pixels=True)
        stored = _stored(header, path)
        if coloured(header):
            return Raster(stored, spacing(header))
        values, ends = rescaled(stored, header)
        inverted = header.PhotometricInterpretation == "MONOCHROME1" and not classes
        if window:
            values, ends = windowed(values, header, path), (0, 255)
        levels = values.astype(np.uint8 if window else kept_as(header))
        if inverted:
            levels = (ends[0] + ends[1] - values).astype(levels.dtype)
        empty = None if classes else padding(stored, header)
        if empty is not None and not empty.all():
            levels[empty] = levels[~empty].min()
        return Raster(levels, spacing(header))


def _header(path: Path, with_pixels: bool) -> "FileDataset":
    """Reads the tags of an image of one frame, and checks what they say."""
    pydicom = _pydicom()
    check_regular(path)
    marked = has_mark(path)
    _check_inflated(path, marked)
    found = pydicom.dcmread(
        path, force=_without_mark(path, marked), specific_tags=[*TAGS, *PIXELS], stop_before_pixels=not with_pixels
    )
    if "TransferSyntaxUID" not in found.file_meta:
        found.file_meta.TransferSyntaxUID = _plain_syntax(found)
    name = repr(str(path))
    if "Rows" not in found or "Columns" not in found or (with_pixels and not any(tag in found for tag in PIXELS)):
        raise DataError(f"{name} is a DICOM file without an image (such as a report or a plan): leave it out")
    frames = int(found.get("NumberOfFrames") or 1)
    if frames != 1:
        raise DataError(
            f"image {name} has {frames} frames: save those to use as files of their own, since a network sees one image"
        )
    check_pixels(path, int(found.Columns), int(found.Rows))
    kind = str(found.get("PhotometricInterpretation", ""))
    if kind not in (*GREYS, *COLOURS):
        raise DataError(f"image {name} has colours of a kind that is not read: save it as MONOCHROME2 or RGB")
    if kind in COLOURS and int(found.BitsAllocated) > 16:
        raise DataError(f"image {name} has colours of more than 16 bits: save it with 8 or 16")
    if "PixelData" in found or not with_pixels:
        bits, high = int(found.get("BitsStored") or 0), int(found.get("HighBit", -1))
        if "BitsStored" in found and "HighBit" in found and high != bits - 1:
            raise DataError(f"image {name} has bit {high} as its highest of {bits}: convert it (gdcmconv --raw)")
    return found


def _pydicom() -> ModuleType:
    """Imports pydicom, and silences its remarks, which may quote a header."""
    pydicom = optional.load("pydicom", "dicom", WHAT)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").propagate = False
    for module in ("pydicom", re.escape(__name__)):  # each time, because threads that restore filters undo each other
        warnings.filterwarnings("ignore", module=module)
    return pydicom


def _without_mark(path: Path, marked: bool) -> bool:
    """Whether a file without DICOM's mark begins with a tag, as files of the time before the mark do."""
    if marked:
        return False
    with path.open("rb") as file:
        return file.read(2) in (b"\2\0", b"\10\0")


def _plain_syntax(found: "FileDataset") -> str:
    """The transfer syntax of a file that does not state it."""
    from pydicom import uid

    implicit, little = found.original_encoding
    if implicit:
        return str(uid.ImplicitVRLittleEndian)
    return str(uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian)


def _check_inflated(path: Path, marked: bool) -> None:
    """Raises if a deflated file becomes too large."""
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if not marked:
        return
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    most = LARGEST_HEADER + 4 * most_pixels()
    with path.open("rb") as file:
        file.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        engine, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while not engine.eof and (part := engine.unconsumed_tail or file.read(2**16)):
            size += len(engine.decompress(part, 2**24))
            if size > most:
                raise DataError(f"image {str(path)!r} is too large when it is inflated: save it without deflation")


def _stored(header: "FileDataset", path: Path) -> NDArray[Any]:
    """The stored numbers, (H, W), or RGB levels, (H, W, 3)."""
    pixels = optional.load("pydicom.pixels", "dicom", WHAT)
    syntax = header.file_meta.TransferSyntaxUID
    samples = int(header.get("SamplesPerPixel", 1))
    if "PixelData" in header and not syntax.is_encapsulated:
        rows, columns = int(header.Rows), int(header.Columns)
        subsampled = header.PhotometricInterpretation == "YBR_FULL_422"
        count = rows * columns * (2 if subsampled else samples)
        need = math.ceil(count * int(header.BitsAllocated) / 8)
        check_room(path, len(header.PixelData), need, min(rows, columns) * max(1, int(header.BitsAllocated) // 8))
    try:
        found: NDArray[Any] = pixels.pixel_array(header)
    except (RuntimeError, NotImplementedError):
        if syntax.is_encapsulated:
            why = "it is damaged, or has more bits than Pillow decodes" if _decodable(syntax) else "no decoder for it"
            raise DataError(
                f"image {str(path)!r} is compressed as {_shown(syntax)} and cannot be decoded here ({why}): decompress "
                "it (gdcmconv --raw), or pip install pylibjpeg pylibjpeg-libjpeg"
            ) from None
        raise
    if header.PhotometricInterpretation == "PALETTE COLOR":
        found = pixels.apply_color_lut(found, header)
        if (
            found.dtype != np.uint8
            and (found <= 255).all()
            and int(header.RedPaletteColorLookupTableDescriptor[2]) == 8
        ):
            found = found.astype(np.uint8)
    if found.shape[:2] != (int(header.Rows), int(header.Columns)) or found.shape[2:] not in ((), (3,)):
        raise DataError(f"image {str(path)!r} has pixels that do not fit the size in its header: export the file again")
    if not found.flags.writeable:
        found = found.copy()
    return found


def _decodable(syntax: Any) -> bool:
    try:
        return bool(optional.load("pydicom.pixels", "dicom", WHAT).get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _shown(syntax: Any) -> str:
    """The name of a transfer syntax that DICOM defines; nothing that a file may have made up."""
    return str(syntax.name) if syntax.is_transfer_syntax else "an unknown transfer syntax"


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Errors in one line; another kind of file is told apart from a damaged one."""
    with scan_errors(path):
        try:
            yield
        except Exception as error:  # the library is imported only where it is needed, so its class is told by its name
            if type(error).__name__ != "InvalidDicomError":
                raise
            raise DataError(f"{str(path)!r} is not a DICOM file: export it again, or leave it out") from None
