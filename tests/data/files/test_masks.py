"""Masks: every encoding gives the same pixels, and ambiguous masks are refused."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.data.files import masks
from tandem.data.files.masks import mask_values, read_mask
from tandem.errors import ConfigError, DataError

LEVELS = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)


def unite(*given: Any) -> np.ndarray:
    return masks.unite(*given)[0]


def save(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


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
    with pytest.raises(DataError, match=r"m\.png' is 10x12, but its image is 12x10"):
        read_mask([path], 4, (12, 10))


# ------------------------------------------------------------------------------------------------ values with a meaning

TRIMAP = {"1": "pet", "2": "background", "3": "ignore"}


def test_values_have_the_meaning_of_the_option(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", np.array([[1, 2], [3, 0]], dtype=np.uint8))
    assert unite([path], (2, 2), mask_values(TRIMAP)).tolist() == [[1, 0], [255, 0]]


def test_several_names_give_classes_in_the_order_given(tmp_path: Path) -> None:
    values = mask_values({"0": "background", "85": "liver", "170": "spleen", "200": "liver"})
    assert values is not None
    assert values.names == ("liver", "spleen")
    path = save(tmp_path / "m.png", np.array([[0, 85], [170, 200]], dtype=np.uint8))
    assert unite([path], (2, 2), values).tolist() == [[0, 1], [2, 1]]


def test_palette_masks_by_index_and_by_colour_agree(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "m.png")
    by_index = unite([tmp_path / "m.png"], (2, 2), mask_values({"1": "red", "2": "blue"}))
    by_colour = unite([tmp_path / "m.png"], (2, 2), mask_values({"#FF0000": "red", "#0000ff": "blue"}))
    assert by_index.tolist() == by_colour.tolist() == [[0, 1], [2, 1]]


def test_coloured_and_sixteen_bit_masks_with_a_meaning(tmp_path: Path) -> None:
    rgb = np.zeros((2, 2, 3), dtype=np.uint8)
    rgb[0, 1], rgb[1] = (0, 255, 0), (9, 9, 9)
    values = mask_values({"#00ff00": "lesion", "#090909": "ignore"})
    assert unite([save(tmp_path / "m.png", rgb)], (2, 2), values).tolist() == [[0, 1], [255, 255]]
    deep = save(tmp_path / "d.png", np.array([[0, 1000], [1000, 40000]], dtype=np.uint16))
    assert unite([deep], (2, 2), mask_values({"1000": "a", "40000": "b"})).tolist() == [[0, 1], [1, 2]]
    with pytest.raises(
        DataError,
        match=r"has 3 values \(0, 1000, 40000\), but may have only 0 and either 1, 255 or 65535: set their mean",
    ):
        unite([deep], (2, 2))


@pytest.mark.parametrize(
    ("ending", "array"),
    [
        ("png", LESION.astype(np.uint16)),
        ("png", LESION.astype(np.uint16) * 65535),
        ("tif", LESION.astype(np.float32)),
        ("tif", LESION.astype(np.int32) * 255),
        ("gif", LESION.astype(np.uint8) * 255),
        ("gif", LESION.astype(np.uint8)),
        ("pgm", LESION.astype(np.uint8) * 255),
        ("jp2", LESION.astype(np.uint8) * 255),
        ("bmp", LESION.astype(np.uint8) * 255),
    ],
)
def test_masks_of_every_format_and_depth(tmp_path: Path, ending: str, array: np.ndarray) -> None:
    np.testing.assert_array_equal(unite([save(tmp_path / f"m.{ending}", array)], (10, 12)), LESION)


def test_a_webp_mask_without_loss(tmp_path: Path) -> None:
    Image.fromarray(LESION.astype(np.uint8) * 255).save(tmp_path / "m.webp", lossless=True)
    np.testing.assert_array_equal(unite([tmp_path / "m.webp"], (10, 12)), LESION)


def test_levels_of_a_grey_palette_count_where_its_indices_have_no_meaning(tmp_path: Path) -> None:
    Image.fromarray(LESION.astype(np.uint8) * 200).save(tmp_path / "m.gif")
    assert unite([tmp_path / "m.gif"], (10, 12), mask_values({"200": "lesion"})).sum() == LESION.sum()


def test_values_that_are_no_whole_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not whole numbers"):
        unite([save(tmp_path / "m.tif", np.full((2, 2), 0.5, np.float32))], (2, 2))


def test_hidden_colours_are_no_classes(tmp_path: Path) -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0] = (255, 0, 0, 0)
    with pytest.raises(DataError, match="transparent pixels"):
        unite([save(tmp_path / "m.png", rgba)], (2, 2), mask_values({"#ff0000": "lesion"}))


@pytest.mark.parametrize("level", ["1", "255"])
def test_one_bit_masks_with_either_name_of_white(tmp_path: Path, level: str) -> None:
    path = save(tmp_path / "m.png", np.array([[True, False]]))
    assert unite([path], (2, 1), mask_values({level: "lesion"})).tolist() == [[1, 0]]


def test_values_without_a_meaning_are_listed(tmp_path: Path) -> None:
    path = save(tmp_path / "m.png", np.array([[1, 7], [3, 9]], dtype=np.uint8))
    with pytest.raises(DataError, match=r"m\.png' has 2 values without a meaning \(7, 9\): add them to data\.mask_val"):
        unite([path], (2, 2), mask_values(TRIMAP))
    red = save(tmp_path / "r.png", np.full((2, 2, 3), (255, 0, 0), dtype=np.uint8))
    with pytest.raises(DataError, match=r"without a meaning \(#ff0000\)"):
        unite([red], (2, 2), mask_values({"#00ff00": "green"}))
    with pytest.raises(DataError, match="in colour"):
        unite([red], (2, 2), mask_values(TRIMAP))


def test_a_united_mask_prefers_foreground_to_ignored_to_background(tmp_path: Path) -> None:
    one = save(tmp_path / "a.png", np.array([[1, 3, 3, 2]], dtype=np.uint8))
    two = save(tmp_path / "b.png", np.array([[2, 1, 2, 2]], dtype=np.uint8))
    for order in ([one, two], [two, one]):
        assert unite(order, (4, 1), mask_values(TRIMAP)).tolist() == [[1, 1, 255, 0]]


def test_two_classes_for_one_pixel_are_refused(tmp_path: Path) -> None:
    one = save(tmp_path / "a.png", np.array([[1, 0]], dtype=np.uint8))
    two = save(tmp_path / "b.png", np.array([[2, 0]], dtype=np.uint8))
    with pytest.raises(DataError, match=r"b\.png' gives pixels another class"):
        unite([one, two], (2, 1), mask_values({"1": "a", "2": "b"}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"red": "a"}, "has 'red', but needs a number"),
        ({"-1": "a"}, "has '-1'"),
        ({"1": "a", "#ff0000": "b"}, "mixes numbers and colours"),
        ({"1": "background", "2": "ignore"}, "names no foreground"),
        ({}, "names no foreground"),
    ],
)
def test_bad_options_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mask_values(given)
