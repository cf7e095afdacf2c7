"""Every format and depth is read as it was written, whatever its byte order, compression and storage."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.data.files.made import EVERY, EXACT, levels, png, rgb12, tiff, write

from tandem.data.files.images import ReadOptions, dtype_of, read_raster, rgb
from tandem.data.files.levels import quantiles, robust_range
from tandem.data.files.pillow_reader import composited
from tandem.data.files.raster import Raster, fit, to_unit
from tandem.errors import ConfigError, DataError


@pytest.mark.parametrize("name", EXACT)
def test_levels_are_those_of_the_file(tmp_path: Path, name: str) -> None:
    path, expected = write(name, tmp_path, "a", 3), EXACT[name][2](3)
    found = read_raster(path).pixels
    assert found.dtype == (expected.dtype if expected.dtype in (np.uint8, np.uint16) else np.float32)
    if found.ndim == 3 and expected.ndim == 2:  # a palette of greys
        assert (found == found[..., :1]).all()
        found = found[..., 0]
    np.testing.assert_array_equal(found, expected.astype(found.dtype))


@pytest.mark.parametrize("name", EVERY)
def test_the_header_tells_what_the_pixels_will_be(tmp_path: Path, name: str) -> None:
    path = write(name, tmp_path, "a", 3)
    assert dtype_of(path) == read_raster(path).pixels.dtype


def test_a_pnm_of_12_bits_keeps_the_order_and_number_of_its_levels(tmp_path: Path) -> None:
    found, expected = read_raster(write("pgm 12", tmp_path, "a", 3)).pixels, EVERY["pgm 12"][2](3)
    assert found.dtype == np.uint16
    np.testing.assert_allclose(found / 65535, expected / 4095, atol=1e-5)
    assert len(np.unique(found)) == len(np.unique(expected))


def test_deep_levels_are_inverted_where_white_is_0(tmp_path: Path) -> None:
    name = "tiff 16, white is 0"
    found = read_raster(write(name, tmp_path, "a", 3)).pixels
    np.testing.assert_array_equal(found, 65535 - EVERY[name][2](3))
    tifffile.imwrite(tmp_path / "b.tif", np.full((4, 4), 10, np.uint8), photometric="miniswhite")
    assert read_raster(tmp_path / "b.tif").pixels[0, 0] == 245, "as Pillow does it for 8 bits"


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_deep_colours_are_turned_like_8_bit_colours(tmp_path: Path, ending: str, orientation: int) -> None:
    colours = rgb12(1)[:, :17]
    if ending == "tif":
        tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    else:
        png(tmp_path / "a.png", colours)
        exif = Image.Exif()
        exif[274] = orientation
        plain = tmp_path / "a.png"
        content, chunk = plain.read_bytes(), b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
        inserted = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        plain.write_bytes(content[:33] + inserted + content[33:])
    small = tmp_path / "b.png"
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray((colours >> 4).astype(np.uint8)).save(small, exif=exif)
    found, expected = read_raster(tmp_path / f"a.{ending}"), read_raster(small)
    assert found.orientation == expected.orientation == orientation
    np.testing.assert_array_equal(found.pixels >> 4, expected.pixels)


def jp2_of_12_bits(path: Path) -> None:
    Image.fromarray(levels(0, 255, "uint8", 3)).save(path)
    content = bytearray(path.read_bytes())
    start = content.find(b"\xff\x4f\xff\x51")
    content[start + 42] = 11  # 12 bits of the first channel
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("ending", "save", "what"),
    [
        (
            "tif",
            lambda path: tiff(photometric="rgb", planarconfig="separate")(path, np.moveaxis(rgb12(0), -1, 0)),
            "TIFF with separate planes",
        ),
        ("tif", lambda path: tiff(photometric="separated")(path, levels(0, 4095, "uint16", 4)), "CMYK;16"),
        ("jp2", jp2_of_12_bits, "JPEG 2000 in colour"),
    ],
)
def test_colours_that_would_lose_bits_are_refused(tmp_path: Path, ending: str, save: Any, what: str) -> None:
    path = tmp_path / f"a.{ending}"
    save(path)
    with pytest.raises(DataError, match=rf"a\.{ending}' has colours of more than 8 bits .*{what}.*: save it as PNG"):
        read_raster(path)


def test_a_tiff_that_is_not_read_is_no_damaged_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", levels(0, 9, "float32", 3), photometric="rgb")
    with pytest.raises(DataError, match=r"a\.tif' is a TIFF whose pixels are stored in a way that is not read: save"):
        read_raster(tmp_path / "a.tif")


# ------------------------------------------------------------------------------------------------------- transparency


@pytest.mark.parametrize(("background", "expected"), [("black", 0), ("white", 255), ("#808080", 128)])
@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_hidden_colours_are_replaced_by_the_background(
    tmp_path: Path, mode: str, background: str, expected: int
) -> None:
    rgba = np.full((6, 6, 4), 200, np.uint8)
    rgba[..., 3] = 255
    rgba[:3, :, 3] = 0
    image = Image.fromarray(rgba)
    (image.quantize(4) if mode == "P" else image.convert(mode)).save(tmp_path / "a.png")
    found = read_raster(tmp_path / "a.png", ReadOptions(rgb(background, "data.background")))
    assert found.transparent
    assert set(np.unique(found.pixels[:3]).tolist()) == {expected}
    assert set(np.unique(found.pixels[3:]).tolist()) == {200}


@pytest.mark.parametrize("channels", [2, 4])
def test_deep_colours_are_composited_in_their_own_precision(tmp_path: Path, channels: int) -> None:
    deep = np.full((4, 4, channels), 1000, np.uint16)
    deep[..., -1] = 65535
    deep[0, :, -1] = 32768
    png(tmp_path / "a.png", deep)
    found = read_raster(tmp_path / "a.png").pixels
    assert (found.dtype.name, found.ndim) == ("uint16", channels // 2 + 1)
    assert set(np.unique(found[0]).tolist()) == {500}
    assert set(np.unique(found[1:]).tolist()) == {1000}


def test_a_transparent_level_is_no_level(tmp_path: Path) -> None:
    Image.fromarray(np.array([[7, 9], [9, 7]], np.uint8)).save(tmp_path / "a.png", transparency=9)
    assert read_raster(tmp_path / "a.png").pixels.tolist() == [[7, 0], [0, 7]]


def test_opaque_images_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    for kind, most in ((np.uint8, 255), (np.uint16, 65535)):
        colours = rng.integers(0, most + 1, (9, 9, 3)).astype(kind)
        found = composited(np.dstack([colours, np.full((9, 9), most, kind)]), (1, 2, 3))
        assert not found.transparent
        np.testing.assert_array_equal(found.pixels, colours)


def test_a_colour_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^data\.background is 'blackish', but must be a colour such as white"):
        rgb("blackish", "data.background")


# -------------------------------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.float32])
def test_quantiles_are_those_of_numpy(kind: torch.dtype) -> None:
    rng = np.random.default_rng(1)
    values = torch.from_numpy(rng.normal(120, 30, (7, 2, 9, 5)).clip(0, 255)).float()
    images = values if kind == torch.float32 else values.to(torch.int32).to(kind)
    images = images - 120 if kind == torch.float32 else images
    shares = (0.0, 0.001, 0.25, 0.5, 0.999, 1.0)
    expected = np.quantile(images.float().numpy(), shares, method="lower")
    assert quantiles(images, shares) == tuple(expected.tolist())


def test_a_few_odd_pixels_do_not_set_the_range() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(100, 1000, (20, 1, 50, 50)).astype(np.uint16))
    images[0, 0, 0, :5] = 65535
    low, high = robust_range(images)
    assert 100 <= low < 110
    assert 990 < high < 1000
    assert robust_range(torch.full((2, 1, 3, 3), 5.0)) == (5.0, 6.0), "one level is all there is"


@pytest.mark.parametrize("channels", [1, 3])
def test_levels_0_and_255_give_the_same_bits_as_none(channels: int) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(2, channels).reshape(2, channels, 16, 16)
    plain = to_unit(pixels)
    for kind in (torch.uint8, torch.uint16, torch.float32):
        assert torch.equal(to_unit(pixels.to(kind), torch.tensor([[0.0, 255.0]] * 2)), plain)
        assert torch.equal(to_unit(pixels.to(kind), torch.tensor([0.0, 255.0])), plain)


def test_deep_images_are_resized_like_8_bit_images() -> None:
    square = np.random.default_rng(0).integers(0, 256, (40, 30)).astype(np.uint8)
    small, deep = fit(Raster(square), 16, 1), fit(Raster(square.astype(np.uint16) * 256), 16, 1)
    assert np.abs(deep / 256 - small).max() <= 1
    colour = np.dstack([square] * 3)
    np.testing.assert_array_equal(fit(Raster(colour.astype(np.float32)), 16, 3)[1], fit(Raster(square * 1.0), 16, 3)[0])
