import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tandem.data.pictures import fit, open_picture, read_image, read_mask, refuse
from tandem.errors import DataError

LEVELS = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)


def save(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_grey_pictures_of_every_mode_give_the_same_levels(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / "a.png", LEVELS[:10], mode)
    grey, rgb = read_image(path, 10, 1), read_image(path, 10, 3)
    assert (grey.shape, rgb.shape, grey.dtype.name) == ((1, 10, 10), (3, 10, 10), "uint8")
    np.testing.assert_array_equal(grey[0], LEVELS[:10])
    np.testing.assert_array_equal(rgb, np.repeat(grey, 3, 0))


def test_one_bit_pictures_span_all_levels(tmp_path: Path) -> None:
    save(tmp_path / "a.png", LEVELS > 60)
    assert set(np.unique(read_image(tmp_path / "a.png", 12, 1)[:, :, :1])) == {0, 255}


def test_shrinking_antialiases(tmp_path: Path) -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    inner = read_image(save(tmp_path / "a.png", stripes), 8, 1)[0, :, 1:-1]
    assert 100 < inner.min() <= inner.max() < 155


def test_colours_keep_their_order(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((4, 4, 3), (10, 20, 30), dtype=np.uint8))
    assert read_image(path, 4, 3)[:, 0, 0].tolist() == [10, 20, 30]


def test_an_opened_picture_outlives_its_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", LEVELS)
    picture = open_picture(path)
    path.unlink()
    assert fit(picture, 12, 1).shape == (1, 12, 12)


@pytest.mark.parametrize("keep", [0, 20, 60, 400])
def test_truncated_pictures_are_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path / "benign (3).png", np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"benign \(3\)\.png.*fetch the file again") as caught:
        open_picture(path)
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
            assert open_picture(path).tobytes() == mask.tobytes()
        except DataError:
            refused += 1
    assert refused > len(content) / 2


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(DataError, match="does not exist"):
        open_picture(path)
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match="is not a picture"):
        open_picture(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="truncated or damaged"):
        open_picture(path)


@pytest.mark.parametrize("limit", [100, 30])
def test_decompression_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    path = save(tmp_path / "a.png", LEVELS)  # 120 pixels: over the limit, or over twice the limit
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match="too large"):
        open_picture(path)


def test_deep_pictures_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", LEVELS.astype(np.uint16) * 200)
    with pytest.raises(DataError, match="8-bit"):
        open_picture(path)


LESION = LEVELS > 60
MASKS = {
    "one-bit": LESION,
    "0 and 1": LESION.astype(np.uint8),
    "0 and 255": LESION.astype(np.uint8) * 255,
    "rgb": np.repeat(LESION[..., None].astype(np.uint8) * 255, 3, 2),
    "rgba": np.dstack([LESION.astype(np.uint8) * 255] * 3 + [np.full_like(LEVELS, 255)]),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_kind_give_0_and_1(tmp_path: Path, kind: str) -> None:
    mask = read_mask([save(tmp_path / "m.png", MASKS[kind])], 60, (10, 12))
    assert (mask.shape, mask.dtype.name) == ((1, 60, 60), "uint8")
    np.testing.assert_array_equal(mask[0, 2::5, 3::6], LESION)


def test_palette_masks_count_by_colour_not_by_index(tmp_path: Path) -> None:
    image = Image.fromarray((~LESION).astype(np.uint8)).convert("P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask([tmp_path / "m.png"], 60, (10, 12))[0, 2::5, 3::6], LESION)


def test_full_empty_and_absent_masks(tmp_path: Path) -> None:
    for value, expected in ((255, 1), (1, 1), (0, 0)):
        path = save(tmp_path / "m.png", np.full((12, 10), value, dtype=np.uint8))
        assert (read_mask([path], 8, (10, 12)) == expected).all()
    assert not read_mask([], 8, (10, 12)).any()


def test_masks_are_united_whatever_their_encoding(tmp_path: Path) -> None:
    left, right = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    left[2:6, :5], right[4:9, 3:] = 1, 255
    paths = [save(tmp_path / "m.png", left), save(tmp_path / "m_1.png", right)]
    np.testing.assert_array_equal(read_mask(paths, 12, (12, 12))[0], (left | right) > 0)


def test_values_out_of_range_are_named(tmp_path: Path) -> None:
    for values, shown in (([0, 37, 255], "0, 37, 255"), ([0, 2], "0, 2"), ([0, 1, 255], "0, 1, 255"), ([7], "7")):
        path = save(tmp_path / "m.png", np.resize(np.array(values, dtype=np.uint8), (4, 4)))
        with pytest.raises(DataError, match=rf"m\.png.*\({re.escape(shown)}\).*threshold it"):
            read_mask([path], 4, (4, 4))
    many = save(tmp_path / "m.png", LEVELS)
    with pytest.raises(DataError, match=r"120 values \(0, 1, 2, 3, 4, \.\.\.\)"):
        read_mask([many], 4, (10, 12))


def test_coloured_and_transparent_masks_are_refused(tmp_path: Path) -> None:
    red = MASKS["rgb"] * np.array([1, 0, 0], dtype=np.uint8)
    with pytest.raises(DataError, match="in colour"):
        read_mask([save(tmp_path / "m.png", red)], 4, (10, 12))
    clear = np.dstack([np.full((12, 10, 3), 255, np.uint8), LESION.astype(np.uint8) * 255])
    with pytest.raises(DataError, match="transparent"):
        read_mask([save(tmp_path / "m.png", clear)], 4, (10, 12))


def test_a_mask_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", LESION)
    with pytest.raises(DataError, match=r"m\.png' is 10x12, but its picture 12x10"):
        read_mask([path], 4, (12, 10))


def test_faults_are_counted_and_ten_of_them_listed() -> None:
    refuse([], 9)
    with pytest.raises(DataError, match=r"\Aonly\Z"):
        refuse(["only"], 9)
    with pytest.raises(DataError) as caught:
        refuse([f"fault {number}" for number in range(14)], 20)
    first, *others = str(caught.value).splitlines()
    assert first == "14 of 20 pictures cannot be used; the first: fault 0"
    assert [line.strip() for line in others] == [*(f"fault {number}" for number in range(1, 10)), "... and 4 more"]
