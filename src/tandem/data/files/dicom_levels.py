"""What the header of a DICOM file says about its numbers: their levels, window, padding and spacing."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.errors import DataError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

COLOURS = ("RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")

GREYS = ("MONOCHROME1", "MONOCHROME2")
"""Photometric interpretations that are read."""

CENTIMETRES, FLAT = 3, 1
"""Codes of an ultrasound region: the unit of its deltas, and a two-dimensional image."""


WHAT = "reading DICOM files"


def coloured(header: "FileDataset") -> bool:
    """Whether an image is in colour."""
    return header.PhotometricInterpretation in COLOURS


def kept_as(header: "FileDataset") -> np.dtype[Any]:
    """What levels are kept as: uint8 for 8 bits, uint16 for other unsigned numbers up to 16 bits, else float32."""
    if coloured(header):
        if header.PhotometricInterpretation == "PALETTE COLOR":
            return np.dtype(np.uint8 if int(header.RedPaletteColorLookupTableDescriptor[2]) == 8 else np.uint16)
        return np.dtype(np.uint8 if int(header.BitsAllocated) <= 8 else np.uint16)
    if _of(header, "ModalityLUTSequence") is not None:
        return np.dtype(np.uint16)
    plain = _line(header) == (1, 0) and "BitsStored" in header
    if not plain or int(header.get("PixelRepresentation", 0)) or int(header.BitsStored) > 16:
        return np.dtype(np.float32)
    return np.dtype(np.uint8 if int(header.BitsStored) == 8 else np.uint16)


def rescaled(stored: NDArray[Any], header: "FileDataset") -> tuple[NDArray[Any], tuple[float, float]]:
    """The levels of stored numbers, and the levels of the lowest and the highest number that its bits can hold."""
    if (table := _of(header, "ModalityLUTSequence")) is not None:
        return _looked_up(stored, table[0], header)
    if "BitsStored" not in header or stored.dtype.kind == "f":
        low, high = 0, 0
    else:
        bits, signed = int(header.BitsStored), bool(header.get("PixelRepresentation", 0))
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = _line(header)
    if (slope, intercept) == (1, 0):
        return stored.astype(np.int64) if stored.dtype.kind != "f" else stored, (low, high)
    return stored.astype(np.float64) * slope + intercept, (low * slope + intercept, high * slope + intercept)


def windowed(values: NDArray[Any], header: "FileDataset", path: Path) -> NDArray[np.float64]:
    """Levels as the file's first window shows them, in [0, 255] and whole."""
    if header.get("VOILUTSequence"):
        shown, (_, most) = _looked_up(np.rint(values).astype(np.int64), header.VOILUTSequence[0], header)
        return np.rint(255 * np.clip(shown / most, 0, 1))
    centre, width = (_first(_of(header, tag, "FrameVOILUTSequence")) for tag in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not width > 0:
        raise DataError(
            f"image {str(path)!r} has no window, which data.window=file asks for: set data.window=null, and "
            "data.grey_range=[low,high] if the levels of black and white are known"
        )
    form = str(_of(header, "VOILUTFunction", "FrameVOILUTSequence") or "LINEAR").upper()
    if form == "SIGMOID":
        return np.rint(255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))))
    if form == "LINEAR_EXACT":
        return np.rint(255 * np.clip((values - centre) / width + 0.5, 0, 1))
    if width <= 1:
        return np.where(values > centre - 0.5, 255.0, 0.0)
    return np.rint(255 * np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))


def _looked_up(values: NDArray[Any], table: Any, header: "FileDataset") -> tuple[NDArray[Any], tuple[float, float]]:
    """The entries of a table for whole numbers, and the ends of what its bits can hold; numbers outside are clipped."""
    length, first, bits = (int(part) for part in table.LUTDescriptor)
    first -= 2**16 if first >= 2**15 and (values < 0).any() else 0
    data = table.LUTData
    if isinstance(data, bytes):
        wide = len(data) >= 2 * (length or 2**16)
        data = np.frombuffer(data, (("<" if header.original_encoding[1] else ">") + "u2") if wide else np.uint8)
    entries = np.atleast_1d(np.asarray(data, np.int64))[: length or 2**16]
    return entries[np.clip(values.astype(np.int64) - first, 0, len(entries) - 1)], (0, 2**bits - 1)


def padding(stored: NDArray[Any], header: "FileDataset") -> NDArray[np.bool_] | None:
    """(H, W), where there is no image; None if the file does not say."""
    value, limit = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if value in (None, ""):
        return None
    ends = sorted((int(value), int(value if limit in (None, "") else limit)))
    found = (stored >= ends[0]) & (stored <= ends[1])
    return found if found.any() else None


def spacing(header: "FileDataset") -> tuple[float, float] | None:
    """Height and width of a pixel in millimetres in the patient; None if the file does not state it.

    The spacing at the detector of an X-ray counts if the file states the magnification as well.
    """
    given = _of(header, "PixelSpacing", "PixelMeasuresSequence")
    scale = 1.0
    if given is None and (magnified := header.get("EstimatedRadiographicMagnificationFactor")):
        given, scale = header.get("ImagerPixelSpacing"), float(magnified)
    if given is None:
        found = {_deltas(region) for region in header.get("SequenceOfUltrasoundRegions") or ()}
        return found.pop() if len(found) == 1 else None
    return _millimetres(float(given[0]) / scale, float(given[1]) / scale)


def _of(header: "FileDataset", tag: str, group: str = "") -> Any:
    """The value of a tag, also where a multi-frame object of one frame keeps it; None if it is absent or empty."""
    if header.get(tag) not in (None, ""):
        return header.get(tag)
    for frames in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for outer in (header.get(frames) or ())[:1]:
            for inner in (outer.get(group) or ())[:1] if group else ():
                if inner.get(tag) not in (None, ""):
                    return inner.get(tag)
    return None


def _line(header: "FileDataset") -> tuple[float, float]:
    """Rescale slope and intercept."""
    slope, intercept = (
        _of(header, tag, "PixelValueTransformationSequence") for tag in ("RescaleSlope", "RescaleIntercept")
    )
    return 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)


def _first(value: Any) -> float | None:
    """The first of several values."""
    if value is None:
        return None
    several = not isinstance(value, str | int | float) and hasattr(value, "__len__")
    return float(value[0] if several else value)


def _deltas(region: Any) -> tuple[float, float] | None:
    """Height and width of a pixel in a region of an ultrasound image, in millimetres."""
    units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
    if units != (CENTIMETRES, CENTIMETRES) or region.get("RegionSpatialFormat") != FLAT:
        return None
    return _millimetres(10 * abs(float(region.PhysicalDeltaY)), 10 * abs(float(region.PhysicalDeltaX)))


def _millimetres(height: float, width: float) -> tuple[float, float] | None:
    """A spacing; None if it is no size."""
    return (height, width) if 0 < height < math.inf and 0 < width < math.inf else None
