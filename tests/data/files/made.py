"""Writes images of every format, depth and mode that is read, from known levels."""

import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from tests.data.files.scans import dicom, nifti

Write = Callable[[Path, np.ndarray], None]


def png(path: Path, levels: np.ndarray) -> None:
    """Writes a PNG of 16 bits: (H, W), or (H, W, C) with 2 (grey, alpha), 3 or 4 channels."""
    height, width, channels = (*levels.shape, 1)[:3]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    content = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def ppm(path: Path, levels: np.ndarray) -> None:
    """Writes a PNM of 12 bits, in colour or grey."""
    head = f"P{6 if levels.ndim == 3 else 5}\n{levels.shape[1]} {levels.shape[0]}\n4095\n"
    path.write_bytes(head.encode() + levels.astype(">u2").tobytes())


def plain_ppm(path: Path, levels: np.ndarray) -> None:
    """Writes a PNM of 12 bits in colour as text."""
    numbers = " ".join(map(str, levels.reshape(-1).tolist()))
    path.write_text(f"P3\n# a comment\n{levels.shape[1]} {levels.shape[0]}\n4095\n{numbers}\n")


def pillow(mode: str | None = None, **settings: Any) -> Write:
    """Writes levels with Pillow, converted to a mode."""

    def write(path: Path, levels: np.ndarray) -> None:
        image = Image.fromarray(levels)
        (image.convert(mode) if mode else image).save(path, **settings)

    return write


def mpo(path: Path, levels: np.ndarray) -> None:
    """Writes the image and a second one, as stereo cameras do."""
    image = Image.fromarray(levels)
    image.save(path, format="MPO", save_all=True, append_images=[Image.eval(image, lambda level: 255 - level)])


def tiff(**settings: Any) -> Write:
    """Writes levels with tifffile."""

    def write(path: Path, levels: np.ndarray) -> None:
        tifffile.imwrite(path, levels, **settings)

    return write


def scan(**tags: Any) -> Write:
    """Writes levels as DICOM."""

    def write(path: Path, levels: np.ndarray) -> None:
        dicom(path, levels, **tags)

    return write


def slice_of(*directions: float) -> Write:
    """Writes levels as NIfTI, whose axes run in these directions; without any, in no known direction."""

    def write(path: Path, levels: np.ndarray) -> None:
        x, y = directions or (-1, -1)
        stored = np.swapaxes(levels, 0, 1)[:: int(-x), :: int(-y)]
        nifti(path, stored, np.diag([x, y, 1.0, 1.0]) if directions else None)

    return write


def scene(seed: int, channels: int = 0, side: int = 24) -> np.ndarray:
    """Smooth levels in [0, 1] with a bright disc: (side, side) or (side, side, channels)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = sum(np.sin(rng.uniform(2, 12) * x + rng.uniform(2, 12) * y + rng.uniform(0, 6)) for _ in range(3))
    inside = (x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2 < 0.03
    grey = np.clip(0.4 + 0.1 * waves + 0.3 * inside, 0, 1)
    return grey if not channels else np.stack([grey * (1 - 0.2 * channel) for channel in range(channels)], axis=-1)


def levels(seed: int, most: float, kind: str, channels: int = 0, least: float = 0) -> np.ndarray:
    """The scene with levels from `least` to `most`."""
    return np.asarray(np.rint(least + scene(seed, channels) * (most - least)), kind)


def grey8(seed: int) -> np.ndarray:
    """8-bit grey."""
    return levels(seed, 255, "uint8")


def rgb8(seed: int) -> np.ndarray:
    """8-bit colours."""
    return levels(seed, 255, "uint8", 3)


def grey12(seed: int) -> np.ndarray:
    """12-bit grey."""
    return levels(seed, 4095, "uint16")


def rgb12(seed: int) -> np.ndarray:
    """12-bit colours."""
    return levels(seed, 4095, "uint16", 3)


EXACT: Mapping[str, tuple[str, Write, Callable[[int], np.ndarray]]] = {
    "png grey": ("png", pillow(), grey8),
    "png rgb": ("png", pillow(), rgb8),
    "bmp grey": ("bmp", pillow(), grey8),
    "bmp rgb": ("bmp", pillow(), rgb8),
    "tiff grey": ("tif", pillow(), grey8),
    "tiff rgb": ("tif", pillow(compression="tiff_lzw"), rgb8),
    "webp rgb": ("webp", pillow(lossless=True), rgb8),
    "gif grey": ("gif", pillow(), grey8),
    "pgm": ("pgm", pillow(), grey8),
    "ppm": ("ppm", pillow(), rgb8),
    "jp2 grey": ("jp2", pillow(), grey8),
    "jp2 rgb": ("jp2", pillow(), rgb8),
    "png grey 16": ("png", pillow(), grey12),
    "png rgb 16": ("png", png, rgb12),
    "tiff grey 16": ("tif", pillow(), grey12),
    "tiff grey 16, other byte order": ("tif", tiff(byteorder=">"), grey12),
    "tiff grey 16, lzw": ("tif", pillow(compression="tiff_lzw"), grey12),
    "tiff rgb 16": ("tif", tiff(photometric="rgb"), rgb12),
    "tiff rgb 16, other byte order": ("tif", tiff(photometric="rgb", byteorder=">"), rgb12),
    "tiff rgb 16, deflate": ("tif", tiff(photometric="rgb", compression="zlib"), rgb12),
    "tiff rgb 16, tiles": ("tif", tiff(photometric="rgb", tile=(16, 16)), rgb12),
    "tiff int8": ("tif", tiff(), lambda seed: levels(seed, 127, "int8", least=-128)),
    "tiff int16": ("tif", tiff(), lambda seed: levels(seed, 3000, "int16", least=-1000)),
    "tiff int32": ("tif", tiff(), lambda seed: levels(seed, 100000, "int32", least=-5)),
    "tiff uint32": ("tif", tiff(), lambda seed: levels(seed, 3e9, "uint32")),
    "tiff int16, other byte order, deflate": (
        "tif",
        tiff(byteorder=">", compression="zlib"),
        lambda seed: levels(seed, 3000, "int16", least=-1000),
    ),
    "tiff uint32, other byte order": ("tif", tiff(byteorder=">"), lambda seed: levels(seed, 3e9, "uint32")),
    "tiff float, other byte order, deflate": (
        "tif",
        tiff(byteorder=">", compression="zlib"),
        lambda seed: scene(seed).astype(np.float32),
    ),
    "tiff float64": ("tif", tiff(), lambda seed: scene(seed).astype(np.float32).astype(np.float64)),
    "tiff float": ("tif", tiff(), lambda seed: scene(seed).astype(np.float32) * 3 - 1),
    "pfm": ("pfm", pillow(), lambda seed: scene(seed).astype(np.float32)),
    "jp2 grey 16": ("jp2", pillow(), grey12),
    "ppm 12": ("ppm", ppm, rgb12),
    "plain ppm 12": ("ppm", plain_ppm, rgb12),
    "dicom grey": ("dcm", scan(), grey8),
    "dicom 12": ("dcm", scan(BitsStored=12), grey12),
    "dicom signed": ("dcm", scan(), lambda seed: levels(seed, 3000, "int16", least=-1000)),
    "dicom rgb": ("dcm", scan(), rgb8),
    "nifti grey": ("nii", slice_of(-1, -1), grey8),
    "nifti uint16, flipped": ("nii", slice_of(1, 1), grey12),
    "nifti int16, flipped": ("nii", slice_of(1, -1), lambda seed: levels(seed, 3000, "int16", least=-1000)),
    "nifti float": ("nii", slice_of(), lambda seed: scene(seed).astype(np.float32) * 3 - 1),
}
"""By name: ending, how it is written, and its levels, which must be read as they are."""

CHANGED: Mapping[str, tuple[str, Write, Callable[[int], np.ndarray]]] = {
    "png one bit": ("png", pillow("1"), grey8),
    "png palette": ("png", pillow("P"), rgb8),
    "png grey, alpha": ("png", pillow("LA"), grey8),
    "png rgb, alpha": ("png", pillow("RGBA"), rgb8),
    "jpeg grey": ("jpg", pillow(), grey8),
    "jpeg rgb": ("jpeg", pillow(), rgb8),
    "jpeg cmyk": ("jpg", pillow("CMYK"), rgb8),
    "mpo": ("mpo", mpo, rgb8),
    "mpo named jpg": ("jpg", mpo, rgb8),
    "gif palette": ("gif", pillow("P"), rgb8),
    "tiff cmyk": ("tif", pillow("CMYK"), rgb8),
    "pgm 12": ("pgm", ppm, grey12),
    "tiff 16, white is 0": ("tif", tiff(photometric="miniswhite"), grey12),
    "dicom 12, white is lowest": ("dcm", scan(BitsStored=12, PhotometricInterpretation="MONOCHROME1"), grey12),
    "dicom rescaled": ("dcm", scan(BitsStored=12, RescaleSlope=1, RescaleIntercept=-1024), grey12),
}
"""Files whose levels are read in another form."""

EVERY = {**EXACT, **CHANGED}


def write(name: str, folder: Path, stem: str, seed: int) -> Path:
    """Writes one file of `EVERY`."""
    ending, save, make = EVERY[name]
    path = folder / f"{stem}.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, make(seed))
    return path
