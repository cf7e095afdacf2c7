"""DICOM files: levels as their header defines them, and one line for whatever cannot be read."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_voi_lut
from tests.data.files.scans import PATIENT, dicom, header

from tandem.data.files import dicom_reader
from tandem.data.files.images import OF_MASKS, PLAIN, ReadOptions, dtype_of, read_raster
from tandem.data.files.masks import unite
from tandem.errors import ConfigError, DataError

SHIPPED = Path(pydicom.data.__file__).parent / "test_files"
WINDOW = ReadOptions(window=True)


def random(dtype: str, low: int, high: int) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (7, 9)).astype(dtype)


TWELVE, SIGNED, BYTES = random("u2", 0, 4096), random("i2", -2048, 2048), random("u1", 0, 256)

LEVELS: dict[str, tuple[np.ndarray, dict[str, Any], np.ndarray]] = {
    "8 bits": (BYTES, {}, BYTES),
    "8 of 16 bits": (BYTES.astype("u2"), {"BitsStored": 8}, BYTES),
    "12 of 16 bits": (TWELVE, {"BitsStored": 12}, TWELVE),
    "12 bits signed": (SIGNED, {"BitsStored": 12}, SIGNED.astype("f4")),
    "Hounsfield units": (TWELVE, {"BitsStored": 12, "RescaleIntercept": -1024, "RescaleSlope": 1}, TWELVE - 1024.0),
    "slope": (TWELVE, {"BitsStored": 12, "RescaleIntercept": 0.5, "RescaleSlope": 0.25}, TWELVE * 0.25 + 0.5),
    "negative slope": (SIGNED, {"BitsStored": 12, "RescaleIntercept": 7, "RescaleSlope": -2}, SIGNED * -2.0 + 7),
    "neutral rescale": (TWELVE, {"RescaleIntercept": 0, "RescaleSlope": 1}, TWELVE),
    "white is lowest, 8 bits": (BYTES, {"PhotometricInterpretation": "MONOCHROME1"}, 255 - BYTES),
    "white is lowest, 12 bits": (
        TWELVE, {"BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1"}, 4095 - TWELVE,
    ),
    "white is lowest, signed": (
        SIGNED, {"BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1"}, -1.0 - SIGNED,
    ),
    "white is lowest, rescaled": (
        TWELVE,
        {"BitsStored": 12, "PhotometricInterpretation": "MONOCHROME1", "RescaleIntercept": 100, "RescaleSlope": 2},
        8390.0 - (TWELVE * 2 + 100),
    ),
    "32 bits": (TWELVE.astype("u4") * 1000, {}, TWELVE * 1000.0),
    "padding": (
        np.where(TWELVE < 1000, 0, TWELVE), {"BitsStored": 12, "PixelPaddingValue": 0},
        np.where(TWELVE < 1000, TWELVE[TWELVE >= 1000].min(), TWELVE),
    ),
    "colour": (np.stack([BYTES, BYTES // 2, BYTES // 3], -1), {}, np.stack([BYTES, BYTES // 2, BYTES // 3], -1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", LEVELS)
def test_levels_are_those_that_the_header_defines(kind: str, tmp_path: Path) -> None:
    stored, tags, wanted = LEVELS[kind]
    path = dicom(tmp_path / "a.dcm", stored, **tags)
    found = read_raster(path).pixels
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == dtype_of(path)
    assert found.dtype in (np.uint8, np.uint16, np.float32)
    assert (found.dtype == np.float32) == (wanted.dtype.kind == "f")


@pytest.mark.parametrize(
    ("form", "centre", "width"),
    [("LINEAR", 1000, 800), ("LINEAR_EXACT", 1000, 800), ("SIGMOID", 900.5, 300), ("LINEAR", 2000, 1)],
)
def test_a_window_shows_what_pydicom_shows(form: str, centre: float, width: float, tmp_path: Path) -> None:
    tags = {"BitsStored": 12, "WindowCenter": [centre, 5], "WindowWidth": [width, 5], "VOILUTFunction": form}
    path = dicom(tmp_path / "a.dcm", TWELVE, **tags)
    oracle = apply_voi_lut(TWELVE, header(TWELVE, **tags)) * (255 / 4095)
    found = read_raster(path, WINDOW).pixels
    assert found.dtype == dtype_of(path, WINDOW) == np.uint8
    np.testing.assert_allclose(found, oracle, atol=0.5001)
    inverse = dicom(tmp_path / "b.dcm", TWELVE, **tags, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_raster(inverse, WINDOW).pixels, 255 - found)
    np.testing.assert_array_equal(read_raster(path, PLAIN).pixels, TWELVE)


def test_a_window_works_on_rescaled_levels_and_may_be_a_table(tmp_path: Path) -> None:
    tags = {"BitsStored": 12, "RescaleIntercept": -1024, "RescaleSlope": 1, "WindowCenter": 40, "WindowWidth": 400}
    found = read_raster(dicom(tmp_path / "a.dcm", TWELVE, **tags), WINDOW).pixels
    shown = np.interp(TWELVE - 1024.0, [39.5 - 199.5, 39.5 + 199.5], [0, 255])
    np.testing.assert_allclose(found, shown, atol=0.5001)
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.add_new(0x00283006, "US", [min(255, level // 2) for level in range(4096)])
    path = dicom(tmp_path / "b.dcm", TWELVE, BitsStored=12, VOILUTSequence=[table])
    np.testing.assert_array_equal(read_raster(path, WINDOW).pixels, np.minimum(255, TWELVE // 2))


SPACINGS: dict[str, tuple[dict[str, Any], tuple[float, float] | None]] = {
    "none": ({}, None),
    "of the patient": ({"PixelSpacing": [0.5, 0.25]}, (0.5, 0.25)),
    "at the detector only": ({"ImagerPixelSpacing": [0.2, 0.1]}, None),
    "at the detector, with magnification": (
        {"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": 2}, (0.1, 0.05),
    ),
    "zero": ({"PixelSpacing": [0, 0.25]}, None),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPACINGS)
def test_spacing_is_that_in_the_patient(kind: str, tmp_path: Path) -> None:
    tags, wanted = SPACINGS[kind]
    found = read_raster(dicom(tmp_path / "a.dcm", BYTES, **tags)).spacing
    assert found == (wanted and pytest.approx(wanted))


def region(x: float, y: float, units: int = 3) -> Dataset:
    made = Dataset()
    made.RegionSpatialFormat, made.PhysicalUnitsXDirection, made.PhysicalUnitsYDirection = 1, units, units
    made.PhysicalDeltaX, made.PhysicalDeltaY = x, y
    return made


def test_spacing_of_ultrasound_is_that_of_its_regions(tmp_path: Path) -> None:
    def spacing(*regions: Dataset) -> Any:
        return read_raster(dicom(tmp_path / "a.dcm", BYTES, SequenceOfUltrasoundRegions=list(regions))).spacing

    assert spacing(region(0.005, -0.01)) == pytest.approx((0.1, 0.05))
    assert spacing(region(0.005, 0.01), region(0.005, 0.01)) == pytest.approx((0.1, 0.05))
    assert spacing(region(0.005, 0.01), region(0.006, 0.01)) is None
    assert spacing(region(0.005, 0.01, units=4)) is None


def test_an_enhanced_image_of_one_frame_has_its_values_in_groups(tmp_path: Path) -> None:
    groups, pixels, line = Dataset(), Dataset(), Dataset()
    pixels.PixelSpacing = [2, 3]
    line.RescaleSlope, line.RescaleIntercept = 2, -5
    groups.PixelMeasuresSequence, groups.PixelValueTransformationSequence = [pixels], [line]
    path = dicom(tmp_path / "a.dcm", TWELVE, NumberOfFrames=1, SharedFunctionalGroupsSequence=[groups])
    found = read_raster(path)
    assert found.spacing == (2, 3)
    np.testing.assert_array_equal(found.pixels, TWELVE * 2.0 - 5)


BARS = [
    *((255, 0, 0), (255, 128, 128), (0, 255, 0), (128, 255, 128), (0, 0, 255), (128, 128, 255)),
    *((0, 0, 0), (64, 64, 64), (192, 192, 192), (255, 255, 255)),
]
"""Colours of the bars in pydicom's test card, from top to bottom, ten rows each."""


@pytest.mark.parametrize(
    "name",
    ["dcmtk_+eb+cy+np", "dcmtk_+eb+cr", "dcmtk_+eb+cy+s4", "rle", "jpeg_lossy_gdcm", "ybr_full_422_uncompressed"],
)
def test_colours_of_every_coding_are_rgb(name: str) -> None:
    path = SHIPPED / (f"SC_{name}.dcm" if name.startswith("ybr") else f"SC_rgb_{name}.dcm")
    np.testing.assert_allclose(read_raster(path).pixels[5::10, 50], BARS, atol=5)


def test_deflated_files_and_segmentations_of_one_bit_are_read() -> None:
    assert np.unique(read_raster(SHIPPED / "liver_1frame.dcm", OF_MASKS).pixels).tolist() == [0, 1]
    assert read_raster(SHIPPED / "image_dfl.dcm").size == (512, 512)


def test_lossless_compression_gives_the_same_levels() -> None:
    plain = read_raster(SHIPPED / "MR_small.dcm").pixels
    for name in ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_implicit.dcm"):
        np.testing.assert_array_equal(read_raster(SHIPPED / name).pixels, plain)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "frames": ({"NumberOfFrames": 3}, "has 3 frames: save those to use as files of their own"),
    "fewer bytes": ({"Rows": 700}, r"is truncated \(126 of 12600 bytes"),
    "more bytes": ({"Columns": 8}, r"holds more pixels than its header states \(126 bytes for 112"),
    "bomb": ({"Rows": 60000, "Columns": 60000}, "is too large"),
    "no rows": ({"Rows": 0}, "has no pixels"),
    "no pixels": ({"PixelData": None}, "DICOM file without an image"),
    "no size": ({"Rows": None}, "DICOM file without an image"),
    "high bit": ({"HighBit": 15, "BitsStored": 12}, "has bit 15 as its highest of 12"),
    "photometric": ({"PhotometricInterpretation": "HSV"}, "colours of a kind that is not read"),
    "bits": ({"BitsAllocated": 17}, "is truncated"),
    "slope": ({"RescaleSlope": "nan", "RescaleIntercept": "0"}, "63 pixels that are nan"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_one_line(kind: str, tmp_path: Path) -> None:
    tags, why = BAD[kind]
    with pytest.raises(DataError, match=why) as caught:
        read_raster(dicom(tmp_path / "a.dcm", TWELVE, **tags))
    assert "\n" not in str(caught.value)
    assert PATIENT.split("^")[0] not in str(caught.value)


def test_files_are_refused_in_one_line_if_they_are_cut_or_of_no_known_compression(tmp_path: Path) -> None:
    whole = dicom(tmp_path / "whole.dcm", TWELVE).read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "a.dcm").write_bytes(whole[:length])
        with pytest.raises(DataError) as caught:
            read_raster(tmp_path / "a.dcm")
        assert "\n" not in str(caught.value)
        assert "ROSENBAUM" not in str(caught.value)
    for name, why in (
        (
            "MR_small_jpeg_ls_lossless.dcm",
            "compressed as JPEG-LS Lossless Image Compression and cannot be decoded here",
        ),
        (
            "JPEG-lossy.dcm",
            r"more bits than Pillow decodes\): decompress it \(gdcmconv --raw\), or pip install pylibjp",
        ),
        ("rtplan.dcm", "without an image"),
        ("examples_ybr_color.dcm", "has 30 frames"),
    ):
        with pytest.raises(DataError, match=why):
            read_raster(SHIPPED / name)
    with pytest.raises(DataError, match="does not exist"):
        read_raster(tmp_path / "none.dcm")
    with pytest.raises(DataError, match=r"has no window, which data\.window=file asks for: set data\.window=null"):
        read_raster(dicom(tmp_path / "b.dcm", TWELVE), WINDOW)


def test_a_deflated_file_may_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_reader, "LARGEST_HEADER", 0)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 60_000)  # its pixels take 262 144 bytes
    with pytest.raises(DataError, match="too large when it is inflated"):
        read_raster(SHIPPED / "image_dfl.dcm")


def test_files_of_the_time_before_the_mark_are_read(tmp_path: Path) -> None:
    made = header(TWELVE)
    del made.file_meta
    made.save_as(tmp_path / "a.dcm", implicit_vr=True, little_endian=True)
    assert (tmp_path / "a.dcm").read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_raster(tmp_path / "a.dcm").pixels, TWELVE)


def test_masks_are_numbers_without_inversion_or_window(tmp_path: Path) -> None:
    square = np.zeros((7, 9), "u1")
    square[2:4, 3:6] = 1
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0, "WindowCenter": 5, "WindowWidth": 2}
    for name, stored, more in (("a", square, tags), ("b", square.astype("u2") * 255, {}), ("c", square * 255, {})):
        mask, _ = unite([dicom(tmp_path / f"{name}.dcm", stored, **more)], (9, 7))
        np.testing.assert_array_equal(mask, square)
    assert read_raster(tmp_path / "a.dcm", OF_MASKS).pixels.max() == 1
    with pytest.raises(DataError, match=r"has .* values"):
        unite([dicom(tmp_path / "d.dcm", TWELVE)], (9, 7))


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dicom(tmp_path / "a.dcm", BYTES)
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(ConfigError, match=r"reading DICOM files needs pydicom .*pip install 'tandem-mtl\[dicom\]'"):
        read_raster(path)


def test_nothing_of_the_header_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = dicom(tmp_path / "a.dcm", BYTES, PixelSpacing=["0.5", "0.25"], syntax=uid.ImplicitVRLittleEndian)
    read_raster(path)
    with pytest.raises(DataError) as caught:
        read_raster(dicom(tmp_path / "b.dcm", BYTES, NumberOfFrames=2))
    assert "ROSENBAUM" not in caplog.text + str(caught.value)
