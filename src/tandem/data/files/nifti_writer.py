"""Writes a mask in the geometry of a NIfTI image."""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.data.files.nifti_reader import WHAT, header_of, placed
from tandem.utils import optional


def mask_bytes(mask: NDArray[np.uint8], image: Path) -> bytes:
    """Returns a compressed NIfTI file with the shape, axes, affine and units of an image, and nothing else of it.

    Args:
        mask: (height, width), turned as `nifti_reader.read` returns the image.
        image: the NIfTI file of the image.

    Raises:
        DataError: as in `nifti_reader.read`.
    """
    nibabel = optional.load("nibabel", "nifti", WHAT)
    header = header_of(image)
    stored = placed(header).stored(mask, tuple(int(length) for length in header.get_data_shape()))
    made = nibabel.Nifti1Image(stored, None)
    made.header.set_xyzt_units(*header.get_xyzt_units())
    made.header.set_zooms(header.get_zooms())
    for kind in ("sform", "qform"):
        if int(header[f"{kind}_code"]):
            getattr(made, f"set_{kind}")(getattr(header, f"get_{kind}")(), int(header[f"{kind}_code"]))
    return gzip.compress(made.to_bytes(), mtime=0)
