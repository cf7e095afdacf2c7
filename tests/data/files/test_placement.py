"""Images that keep their aspect ratio: where their pixels lie in the network's square, and the way back to the file."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from tandem.config.identity import run_hash
from tandem.data.files.levels import robust_range
from tandem.data.files.placement import FITS, WHOLES, Placement, fit_of
from tandem.data.files.raster import LOWEST, Raster, fit, to_unit
from tandem.data.folder import Folder
from tandem.data.mixed import Mixed
from tandem.data.phantom import Phantom
from tandem.errors import ConfigError
from tandem.export.program import PREPARED

SIZES = [(40, 60), (60, 40), (33, 32), (32, 33), (9, 13), (300, 32), (1, 200), (48, 48)]
"""Landscape, portrait, one pixel off, smaller than the network's square, thin, and square."""

SIZE = 32


def padded_by_hand(pixels: np.ndarray, mode: str, **more: Any) -> np.ndarray:
    """The square of the longer side with the image in its middle."""
    height, width = pixels.shape
    side = max(height, width)
    above, before = (side - height) // 2, (side - width) // 2
    ends = ((above, side - height - above), (before, side - width - before))
    found: np.ndarray = np.pad(pixels, ends, mode=mode, **more)  # type: ignore[call-overload]
    return found


def nearest_by_hand(pixels: np.ndarray, size: int) -> np.ndarray:
    """Nearest neighbour, cell by cell."""
    side = len(pixels)
    place = [int((cell + 0.5) * side / size) for cell in range(size)]
    return np.array([[pixels[row, column] for column in place] for row in place])


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_padding_keeps_the_aspect_ratio_and_marks_what_is_no_image(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (height, width)).astype(np.uint8)
    place = Placement("pad", height, width, SIZE)
    found, mask = fit(Raster(pixels), SIZE, 1, "pad")[0], place.mask((pixels > 127).astype(np.uint8))
    by_hand = nearest_by_hand(padded_by_hand((pixels > 127).astype(np.uint8), "constant", constant_values=255), SIZE)
    top, bottom, left, right = place.frame
    assert bottom > top
    assert right > left
    inside = np.zeros((SIZE, SIZE), bool)
    inside[top:bottom, left:right] = True
    if min(height, width) > 1:  # a line of one pixel has a cell even where no cell's centre lies on it
        np.testing.assert_array_equal(mask, by_hand)
        whole = Image.fromarray(padded_by_hand(pixels, "edge"))
        expected = np.asarray(whole.resize((SIZE, SIZE), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(found.astype(int) - expected)[inside].max() <= 1
    assert (mask[~inside] == 255).all()
    assert (mask[inside] < 2).all()
    assert (found[~inside] == 0).all()
    assert (found[inside] > 0).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_crop_is_the_central_square(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width)).astype(np.uint8)
    side, row, column = min(height, width), (height - min(height, width)) // 2, (width - min(height, width)) // 2
    middle = Image.fromarray(pixels[row : row + side, column : column + side])
    expected = np.asarray(middle.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(fit(Raster(pixels), SIZE, 1, "crop")[0], expected)
    np.testing.assert_array_equal(
        Placement("crop", height, width, SIZE).mask(pixels), nearest_by_hand(np.asarray(middle), SIZE)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_native_keeps_the_pixels(height: int, width: int, dtype: type) -> None:
    pixels: np.ndarray = np.random.default_rng(0).integers(1, 250, (height, width)).astype(dtype)
    known = (pixels > 120).astype(np.uint8)
    padding = [(max(0, SIZE - length) // 2, (max(0, SIZE - length) + 1) // 2) for length in pixels.shape]
    black = LOWEST if dtype == np.float32 else 0
    wholes = np.pad(pixels, padding, constant_values=black), np.pad(known, padding, constant_values=255)
    place = Placement(WHOLES["native"], height, width, SIZE)
    assert place.cells == wholes[0].shape
    np.testing.assert_array_equal(fit(Raster(pixels), SIZE, 1, WHOLES["native"])[0], wholes[0])
    np.testing.assert_array_equal(place.mask(known), wholes[1])
    back = torch.rand(2, *place.cells, generator=torch.Generator().manual_seed(0))
    inside = tuple(slice(start, start + length) for (start, _), length in zip(padding, pixels.shape, strict=True))
    assert torch.equal(place.to_file(back), back[(slice(None), *inside)])
    squares = [part[tuple(slice((n - SIZE) // 2, (n - SIZE) // 2 + SIZE) for n in part.shape)] for part in wholes]
    place = Placement("native", height, width, SIZE)
    np.testing.assert_array_equal(fit(Raster(pixels), SIZE, 1, "native")[0], squares[0])
    np.testing.assert_array_equal(place.mask(known), squares[1])
    assert fit(Raster(np.stack([pixels] * 3, 2)), SIZE, 3, "native").shape == (3, SIZE, SIZE)
    assert place.scale == (1.0, 1.0)
    top, bottom, left, right = place.frame
    assert (squares[1][top:bottom, left:right] != 255).all()
    assert (squares[1] != 255).sum() == (bottom - top) * (right - left)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_way_back_ends_at_the_files_own_size(height: int, width: int) -> None:
    maps = torch.rand(2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    for how in FITS:
        place = Placement(how, height, width, SIZE)
        found = place.to_file(maps)
        assert found.shape == (2, height, width)
        if place.stretched:
            expected = Image.fromarray(maps[0].numpy()).resize((width, height), Image.Resampling.BILINEAR)
            np.testing.assert_allclose(found[0], np.asarray(expected), atol=1e-5)
            continue
        if how == "native":
            known = np.zeros((height, width))
            for row, column in np.ndindex(height, width):  # the cell above which the pixel lies, if there is one
                down, across = (
                    place_ + (SIZE - length) // 2 if length <= SIZE else place_ - (length - SIZE) // 2
                    for place_, length in ((row, height), (column, width))
                )
                if 0 <= down < SIZE and 0 <= across < SIZE:
                    known[row, column] = maps[0, down, across]
            np.testing.assert_array_equal(found[0], known)
            continue
        side = max(height, width) if how == "pad" else min(height, width)
        own = maps[0].numpy().copy()
        if how == "pad":  # what the network says about padding has no influence
            top, bottom, left, right = place.frame
            own = np.pad(own[top:bottom, left:right], ((top, SIZE - bottom), (left, SIZE - right)), mode="edge")
        square = np.asarray(Image.fromarray(own).resize((side, side), Image.Resampling.BILINEAR))
        row, column = abs(side - height) // 2, abs(side - width) // 2
        if how == "pad":
            np.testing.assert_allclose(found[0], square[row : row + height, column : column + width], atol=1e-5)
        else:
            placed = np.zeros((height, width))
            placed[row : row + side, column : column + side] = square
            np.testing.assert_allclose(found[0], placed, atol=1e-5)


@pytest.mark.parametrize("how", ["pad", "crop"])
@pytest.mark.parametrize(("height", "width"), [(90, 60), (60, 91), (200, 120)])
def test_a_disc_stays_round_and_comes_back_to_its_place(how: str, height: int, width: int) -> None:
    rows, columns = np.mgrid[:height, :width]
    disc = (rows - height * 0.45) ** 2 + (columns - width * 0.55) ** 2 < (0.3 * min(height, width)) ** 2
    place = Placement(how, height, width, 64)
    seen = place.mask(disc.astype(np.uint8)) == 1
    down, across = (part.stop - part.start for part in ndimage.find_objects(seen.astype(int))[0])
    assert abs(down - across) <= 2
    back = place.to_file(torch.from_numpy(seen[None].astype(np.float32)))[0].numpy() >= 0.5
    assert 2 * (back & disc).sum() / (back.sum() + disc.sum()) > 0.96
    height_mm, width_mm = (0.1 * scale for scale in place.scale)
    assert height_mm == width_mm
    assert seen.sum() * height_mm * width_mm == pytest.approx(disc.sum() * 0.01, rel=0.05)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_padding_of_deep_images_is_black_and_does_not_shift_the_levels(dtype: type) -> None:
    pixels: np.ndarray = np.random.default_rng(0).uniform(900, 2000, (20, 64)).astype(dtype)
    found = fit(Raster(pixels), SIZE, 1, "pad")
    assert found.dtype == dtype
    top, bottom, left, right = Placement("pad", 20, 64, SIZE).frame
    whole = torch.from_numpy(found)[None]
    levels = robust_range(whole, [(top, bottom, left, right)])
    assert levels == robust_range(torch.from_numpy(found[None, :, top:bottom, left:right].copy()))
    assert levels[0] > 900
    if dtype == np.float32:  # known by its value, so that an audit needs no frames
        assert robust_range(whole) == levels
        assert found.min() == np.float32(LOWEST)
    unit = to_unit(whole, torch.tensor(levels))[0, 0]
    assert (unit[:top] == 0).all()
    assert (unit[bottom:] == 0).all()
    assert unit.isfinite().all()


def mixed_sizes(root: Path, sizes: list[tuple[int, int]]) -> Path:
    """Images of several sizes in two classes, each with a mask."""
    for number, (height, width) in enumerate(sizes * 3):
        for label in ("benign", "malignant"):
            (root / label).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([number, len(label)]).integers(1, 255, (height, width)).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{label[0]}{number}.png")
            Image.fromarray(((pixels > 200) * 255).astype(np.uint8)).save(root / label / f"{label[0]}{number}_mask.png")
    return root


def test_sources_fit_images_and_masks_and_caches_do_not_mix(tmp_path: Path) -> None:
    root = mixed_sizes(tmp_path / "mine", [(40, 60), (60, 40), (33, 32), (9, 13)])
    read = {}
    for _ in range(2):  # the second time from the cache
        for how in FITS:
            source = Folder(
                str(root), size=SIZE, fit=how, near_duplicates=False, spacing=0.5, cache=str(tmp_path / "cache")
            )
            read[how] = source.load()["train"]
            spacing = read[how].spacing
            assert spacing is not None
            for row, name in enumerate(read[how].ids):
                image = np.asarray(Image.open(root / f"{name}.png"))
                np.testing.assert_array_equal(read[how].images[row], fit(Raster(image), SIZE, 1, how))
                height, width = image.shape
                share = {
                    "pad": min(height, width) / max(height, width),
                    "native": min(height, SIZE) * min(width, SIZE) / SIZE**2,
                }.get(how, 1.0)
                known = (read[how].masks[row] != 255).float().mean().item()
                assert known == pytest.approx(share, abs=1 / SIZE)
                sides = np.array(image.shape) * 0.5 / SIZE
                expected = {
                    "squash": sides,
                    "pad": np.full(2, sides.max()),
                    "crop": np.full(2, sides.min()),
                    "native": np.full(2, 0.5),
                }[how]
                np.testing.assert_allclose(spacing[row], expected, rtol=1e-6)
    assert read["squash"].ids == read["pad"].ids == read["crop"].ids, "a split does not depend on how images are fitted"
    assert len(list((tmp_path / "cache").glob("folder-*.npz"))) == len(FITS)


def test_the_option_is_checked_neutral_and_the_same_in_mixed_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.fit is 'pda': did you mean 'pad'\?"):
        Folder("x", fit="pda")
    assert run_hash({"data": {"size": 8, "fit": "squash"}}) == run_hash({"data": {"size": 8}})
    assert run_hash({"data": {"size": 8, "fit": "pad"}}) != run_hash({"data": {"size": 8}})
    assert inspect.signature(Folder).parameters["fit"].default == "squash"
    assert fit_of({"size": 8}) == "squash"
    assert fit_of({"sources": {"a": {"train": 3}, "b": {"fit": "crop"}}}) == "crop"
    assert set(PREPARED) == set(FITS), "an exported file says how to prepare an image"
    files = {how: Folder(str(tmp_path), fit=how, classes=["a", "b"]) for how in ("pad", "crop")}
    with pytest.raises(ConfigError, match=r"data\.sources differ in fit"):
        Mixed(files)
    Mixed({"files": files["pad"], "drawn": Phantom()})
