"""Writes DICOM and NIfTI files from known numbers."""

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

PATIENT = "ROSENBAUM^GRETA"
"""The patient's name in every file."""


def header(stored: np.ndarray, **tags: Any) -> Dataset:
    """A data set with these stored numbers, (H, W) or (H, W, 3)."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.PatientName, made.PatientID, made.InstitutionName = PATIENT, f"ID-{PATIENT}", f"Clinic of {PATIENT}"
    made.StudyDescription = made.SeriesDescription = made.ImageComments = f"of {PATIENT}"
    made.add_new(0x00091001, "LO", f"private {PATIENT}")
    made.Rows, made.Columns = stored.shape[:2]
    made.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    made.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    if stored.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * stored.dtype.itemsize
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    made.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    made.HighBit = tags.get("HighBit", made.BitsStored - 1)
    return made


def dicom(path: Path, stored: np.ndarray, **tags: Any) -> Path:
    """Writes a DICOM file; a tag that is None is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, header(stored, **tags), enforce_file_format=True)
    return path


def nifti(
    path: Path,
    stored: np.ndarray,
    affine: np.ndarray | None = None,
    slope: float = 1,
    intercept: float = 0,
    **keys: Any,
) -> Path:
    """Writes a NIfTI file of stored numbers, with keys of its header; without an affine, it has no orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(stored, affine)
    for key, value in keys.items():
        image.header[key] = value
    image.header.set_data_dtype(stored.dtype)
    nibabel.save(image, path)
    if (slope, intercept) != (1, 0):
        content = bytearray(read_gz(path))
        content[112:120] = struct.pack("<ff", slope, intercept)
        write_gz(path, bytes(content))
    return path


def read_gz(path: Path) -> bytes:
    """The bytes of a file, unpacked."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def write_gz(path: Path, content: bytes) -> None:
    """Writes bytes, packed by the name of the file."""
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
