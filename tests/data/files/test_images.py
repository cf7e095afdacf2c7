from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tandem.data.files.images import read_image, read_raster
from tandem.data.files.pillow_reader import open_image
from tandem.data.files.raster import fit
from tandem.errors import DataError

LEVELS = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)


def save(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_grey_images_of_every_mode_give_the_same_levels(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / "a.png", LEVELS[:10], mode)
    grey, rgb = read_image(path, 10, 1), read_image(path, 10, 3)
    assert (grey.shape, rgb.shape, grey.dtype.name) == ((1, 10, 10), (3, 10, 10), "uint8")
    np.testing.assert_array_equal(grey[0], LEVELS[:10])
    np.testing.assert_array_equal(rgb, np.repeat(grey, 3, 0))


def test_one_bit_images_span_all_levels(tmp_path: Path) -> None:
    save(tmp_path / "a.png", LEVELS > 60)
    assert set(np.unique(read_image(tmp_path / "a.png", 12, 1)[:, :, :1])) == {0, 255}


def test_shrinking_antialiases(tmp_path: Path) -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    inner = read_image(save(tmp_path / "a.png", stripes), 8, 1)[0, :, 1:-1]
    assert 100 < inner.min() <= inner.max() < 155


def test_colours_keep_their_order(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((4, 4, 3), (10, 20, 30), dtype=np.uint8))
    assert read_image(path, 4, 3)[:, 0, 0].tolist() == [10, 20, 30]


def test_an_opened_image_outlives_its_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", LEVELS)
    image = read_raster(path)
    path.unlink()
    assert fit(image, 12, 1).shape == (1, 12, 12)


@pytest.mark.parametrize("keep", [0, 20, 60, 400])
def test_truncated_images_are_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path / "benign (3).png", np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"benign \(3\)\.png.*download the file again") as caught:
        open_image(path)
    assert "\n" not in str(caught.value)


def test_no_flipped_bit_changes_pixels_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    mask = Image.new("1", (300, 250))
    mask.paste(1, (60, 50, 160, 140))
    mask.save(path)
    content, refused = path.read_bytes(), 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            assert open_image(path).tobytes() == mask.tobytes()
        except DataError:
            refused += 1
    assert refused > len(content) / 2


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(DataError, match="does not exist"):
        open_image(path)
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match="is not an image"):
        open_image(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="truncated or damaged"):
        open_image(path)


@pytest.mark.parametrize("limit", [100, 30])
def test_decompression_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    path = save(tmp_path / "a.png", LEVELS)  # 120 pixels: over the limit, or over twice the limit
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match="too large"):
        open_image(path)
