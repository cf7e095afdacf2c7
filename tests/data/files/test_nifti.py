"""NIfTI files: levels after slope and intercept, and the directions of DICOM whatever the affine is."""

import gzip
import itertools
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine
from PIL import Image, ImageOps
from tests.data.files.scans import nifti, read_gz, write_gz

from tandem.data.files.images import ReadOptions, dtype_of, read_raster
from tandem.data.files.masks import unite
from tandem.data.files.nifti_reader import TAGS, header_of, placed
from tandem.errors import ConfigError, DataError

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""The affine whose axes run as in DICOM: to the left, to posterior."""

STORED = np.random.default_rng(0).integers(0, 200, (9, 7)).astype("u1")
"""Nine columns of seven rows; NIfTI's first axis is the fastest."""


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_levels_keep_their_precision(kind: str, ending: str, tmp_path: Path) -> None:
    stored = (STORED.astype("f8") * 1.5 - 20).astype(kind) if kind[0] in "if" else STORED.astype(kind)
    path = nifti(tmp_path / f"a{ending}", stored, LPS)
    found = read_raster(path).pixels
    np.testing.assert_array_equal(found, stored.T)
    assert found.dtype == dtype_of(path) == {"u1": np.uint8, "u2": np.uint16}.get(kind, np.float32)
    scaled = nifti(path, stored, LPS, slope=0.5, intercept=-3)
    np.testing.assert_allclose(read_raster(scaled).pixels, np.asarray(nibabel.load(scaled).dataobj).T)
    np.testing.assert_allclose(read_raster(scaled).pixels, stored.T * 0.5 - 3)
    assert dtype_of(scaled) == np.float32


def world(path: Path) -> np.ndarray:
    """The image by an independent rule: each pixel at its place in the patient, sorted to left and posterior."""
    image = nibabel.load(path)
    data = np.asarray(image.dataobj)
    data = data.reshape((*data.shape, 1, 1)[:3])
    index = np.stack(np.meshgrid(*map(np.arange, data.shape), indexing="ij"), -1).reshape(-1, 3)
    places = apply_affine(image.affine, index).round(6)
    used = [axis for axis in range(3) if len(np.unique(places[:, axis])) > 1]
    across, down = used  # x before y before z
    order = np.lexsort((-places[:, across], -places[:, down]))
    shape = [len(np.unique(places[:, axis])) for axis in (down, across)]
    return data.reshape(-1)[order].reshape(shape)


AXES = [np.array([[0] * 4] * 3 + [[0, 0, 0, 1]], float) for _ in range(48)]
for matrix, (order, signs) in zip(
    AXES, itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)), strict=True
):
    for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
        matrix[row, column] = sign * (0.5, 2.0, 3.0)[column]


SHAPES = [(9, 7), (1, 9, 7), *(pytest.param(shape, marks=pytest.mark.full) for shape in ((9, 7, 1), (9, 1, 7)))]


@pytest.mark.parametrize("shape", [*SHAPES, pytest.param((9, 7, 1, 1), marks=pytest.mark.full)])
def test_every_affine_gives_the_directions_of_dicom(shape: tuple[int, ...], tmp_path: Path) -> None:
    for affine in AXES if len(shape) == 2 else AXES[::5]:
        path = nifti(tmp_path / "a.nii", STORED.reshape(shape), affine)
        found = read_raster(path)
        np.testing.assert_array_equal(found.pixels, world(path))
        place = placed(header_of(path))
        np.testing.assert_array_equal(place.stored(found.pixels, shape), STORED.reshape(shape))
        sizes = np.array([0.5, 2.0, 3.0])[[axis for axis in range(3) if (*shape, 1)[axis] > 1]]
        assert found.spacing in (tuple(sizes), tuple(sizes[::-1]))
        stored = Image.fromarray(np.squeeze(STORED).T)
        exif = stored.getexif()
        exif[274] = found.orientation
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(stored)), found.pixels)
    assert sorted(TAGS.values()) == [*range(1, 9)]


def test_an_oblique_slice_takes_the_nearest_directions(tmp_path: Path) -> None:
    turned = np.eye(4)
    turned[:2, :2] = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]) * 0.4
    found = read_raster(nifti(tmp_path / "a.nii", STORED, turned))
    np.testing.assert_array_equal(found.pixels, STORED[::-1, ::-1].T)
    assert found.spacing == pytest.approx((0.4, 0.4))


def test_without_orientation_a_slice_is_used_as_stored(tmp_path: Path) -> None:
    found = read_raster(nifti(tmp_path / "a.nii", STORED))
    np.testing.assert_array_equal(found.pixels, STORED.T)
    assert (found.spacing, found.orientation) == (None, 1)
    sized = read_raster(nifti(tmp_path / "b.nii", STORED, None, pixdim=[1, 0.3, 0.2, 1, 0, 0, 0, 0], xyzt_units=2))
    assert sized.spacing == pytest.approx((0.2, 0.3))


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001)])
def test_spacing_is_in_millimetres_whatever_the_unit_is(units: int, factor: float, tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", STORED, np.diag([-0.3, -0.2, 1, 1]), xyzt_units=units)
    assert read_raster(path).spacing == pytest.approx((0.2 * factor, 0.3 * factor))


def test_an_image_and_a_mask_that_are_stored_differently_fit(tmp_path: Path) -> None:
    square = np.zeros((9, 7), "u1")
    square[2:4, 1:6] = 1
    image = read_raster(nifti(tmp_path / "a.nii", STORED, LPS))
    for name, stored, affine in (("same", square, LPS), ("flipped", square[::-1], np.diag([1, -1, 1, 1]))):
        mask, _ = unite([nifti(tmp_path / f"{name}.nii.gz", stored.astype("f4"), affine)], image.size)
        np.testing.assert_array_equal(mask, square.T)


def test_display_range_colours_and_big_endian(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", STORED, LPS, cal_min=50, cal_max=150)
    found = read_raster(path, ReadOptions(window=True)).pixels
    np.testing.assert_allclose(found, np.interp(STORED.T, [50, 150], [0, 255]), atol=0.5)
    with pytest.raises(DataError, match=r"has no display range"):
        read_raster(nifti(tmp_path / "a.nii", STORED, LPS), ReadOptions(window=True))
    colours = np.zeros((9, 7, 1), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["R"][..., 0], colours["B"][..., 0] = STORED, STORED // 2
    np.testing.assert_array_equal(
        read_raster(nifti(tmp_path / "c.nii", colours, LPS)).pixels,
        np.stack([STORED, 0 * STORED, STORED // 2], -1).transpose(1, 0, 2),
    )
    big = nibabel.Nifti1Image(STORED.astype("i2"), LPS).header.as_byteswapped(">")
    big.set_data_offset(352)
    (tmp_path / "d.nii").write_bytes(big.binaryblock + bytes(4) + STORED.astype(">i2").tobytes(order="F"))
    np.testing.assert_array_equal(read_raster(tmp_path / "d.nii").pixels, STORED.T)


def patched(path: Path, at: int, form: str, value: Any) -> Path:
    content = bytearray(read_gz(path))
    content[at : at + struct.calcsize(form)] = struct.pack(form, value)
    write_gz(path, bytes(content))
    return path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_what_cannot_be_read_is_one_line(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"

    def why() -> str:
        with pytest.raises(DataError) as caught:
            read_raster(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    nifti(path, np.zeros((9, 7, 4), "u1"), LPS)
    assert "is a volume or series (9x7x4): save the slices to use as files of their own" in why()
    nifti(path, np.zeros((9, 7, 1, 3), "u1"), LPS)
    assert "is a volume or series (9x7x1x3)" in why()
    nifti(path, np.zeros((9, 7), "c8"), LPS)
    assert "numbers of a kind that is not read" in why()
    nifti(path, STORED, LPS)
    for at, form, value, line in (
        (42, "<h", 30000, "truncated (63 of 210000 bytes"),
        (42, "<h", 5, "holds more pixels than its header states"),
        (40, "<h", 99, "has no pixels"),
        (108, "<f", 3e9, "its pixels begin at byte"),
        (108, "<f", 4e6, "truncated (0 of 63 bytes"),
        (344, "<4s", b"ni1\0", "whose pixels lie in an .img file"),
        (0, "<i", 7, "is not a NIfTI file"),
    ):
        patched(nifti(path, STORED, LPS), at, form, value)
        assert line in why()
    patched(patched(nifti(path, STORED, LPS), 42, "<h", 32000), 44, "<h", 32000)
    assert "is too large" in why()
    content = read_gz(nifti(path, STORED, LPS))
    for length in (0, 3, 200, 352, len(content) - 1):
        write_gz(path, content[:length])
        why()
    nifti(path, np.full((9, 7), np.nan, "f4"), LPS)
    assert "63 pixels that are nan" in why()


def test_a_compressed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", STORED, LPS)
    bomb = tmp_path / "b.nii.gz"
    with gzip.open(bomb, "wb") as file:
        file.write(path.read_bytes())
        for _ in range(30):
            file.write(bytes(2**20))
    with pytest.raises(DataError, match=r"holds more pixels than its header states \(70 bytes for 63\)"):
        read_raster(bomb)
    bomb.write_bytes(gzip.compress(path.read_bytes())[:-20])
    with pytest.raises(DataError, match=r"truncated or damaged \(gzip\)|bytes of pixels"):
        read_raster(bomb)


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nifti(tmp_path / "a.nii", STORED, LPS)
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(ConfigError, match=r"reading NIfTI files needs nibabel .*pip install 'tandem-mtl\[nifti\]'"):
        read_raster(path)
