"""`data.fit` in every source that reads files: images and masks are where those of a computation by hand are."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.files.scans import dicom
from tests.data.files.test_placement import nearest_by_hand, padded_by_hand

from tandem.data.busi import BUSI
from tandem.data.coco import Coco
from tandem.data.files.placement import FITS, Placement
from tandem.data.folder import Folder
from tandem.data.samples import Samples, join_samples

SIZE = 16
Known = dict[str, tuple[np.ndarray, np.ndarray]]
"""Image and mask of each id."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def of_coco(root: Path, trees: Any, fit: str) -> tuple[Any, Known]:
    trees.coco(root)
    mask = np.zeros((20, 24), np.uint8)
    mask[4:12, 8:16] = 1
    known = {f"x{number}": (trees.noise(number), mask) for number in range(16)}
    return Coco(str(root), "annotations/instances.json", size=SIZE, channels=1, fit=fit, near_duplicates=False), known


def of_table(root: Path, trees: Any, fit: str) -> tuple[Any, Known]:
    trees.table(root)
    columns = {"image": "image", "label": "label", "masks": "mask"}
    known = {f"p{number}": (trees.noise(number), trees.box(1)) for number in range(16)}
    return Folder(str(root), table="table.csv", columns=columns, size=SIZE, fit=fit, near_duplicates=False), known


def of_dicom(root: Path, trees: Any, fit: str) -> tuple[Any, Known]:
    known: Known = {}
    sides = itertools.cycle([(20, 30), (30, 20), (17, 16)])
    for number, (height, width) in zip(range(9), sides, strict=False):
        stored = np.random.default_rng(number).integers(0, 4000, (height, width)).astype(np.uint16)
        dicom(root / "images" / f"d{number}.dcm", stored, PixelSpacing=[0.2, 0.2])
        trees.save(root / "masks" / f"d{number}.png", ((stored > 2000) * 255).astype(np.uint8))
        known[f"d{number}"] = (stored, (stored > 2000).astype(np.uint8))
    paths = ("images/{id}", "masks/{id}")
    return Folder(str(root), images=paths[0], masks=paths[1], size=SIZE, fit=fit, near_duplicates=False), known


def in_the_middle(pixels: np.ndarray, fill: int) -> np.ndarray:
    """The central square of the pixels, with a border around what is smaller."""
    rest = [max(0, SIZE - length) for length in pixels.shape]
    padded = np.pad(pixels, [(one // 2, one - one // 2) for one in rest], constant_values=fill)
    top, left = ((length - SIZE) // 2 for length in padded.shape)
    found: np.ndarray = padded[top : top + SIZE, left : left + SIZE]
    return found


def fitted(pixels: np.ndarray, fit: str) -> np.ndarray:
    """By hand: the whole image, the square of the longer side, or the central square of the shorter, resized."""
    if fit == "native":
        return in_the_middle(pixels, 0).astype(np.float64)
    if fit == "pad":
        pixels = padded_by_hand(pixels, "edge")
    if fit == "crop":
        side = min(pixels.shape)
        top, left = ((length - side) // 2 for length in pixels.shape)
        pixels = pixels[top : top + side, left : left + side]
    levels = Image.fromarray(pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32))
    return np.asarray(levels.resize((SIZE, SIZE), Image.Resampling.BILINEAR), dtype=np.float64)


def check(samples: Samples, known: Known, fit: str) -> None:
    assert len(samples) == len(known)
    for row, name in enumerate(samples.ids):
        image, mask = known[Path(name).name]
        place = Placement(fit, image.shape[0], image.shape[1], SIZE)
        top, bottom, left, right = place.frame
        inside = np.zeros((SIZE, SIZE), bool)
        inside[top:bottom, left:right] = True
        found = samples.images[row, 0].numpy().astype(np.float64)
        compared = inside.copy()
        if fit == "pad":  # by hand, the filter is cut at the border of the square
            compared[[0, -1]] = compared[:, [0, -1]] = False
        assert np.abs(found - fitted(image, fit))[compared].max() <= 1, "rounded"
        assert (found[~inside] == 0).all()
        if fit == "native":
            expected = in_the_middle(mask, 255)
        elif fit == "squash":
            expected = np.asarray(Image.fromarray(mask).resize((SIZE, SIZE), Image.Resampling.NEAREST))
        elif fit == "pad":
            expected = nearest_by_hand(padded_by_hand(mask, "constant", constant_values=255), SIZE)
        else:
            side = min(mask.shape)
            start = [(length - side) // 2 for length in mask.shape]
            expected = nearest_by_hand(mask[start[0] :, start[1] :][:side, :side], SIZE)
        np.testing.assert_array_equal(samples.masks[row, 0].numpy(), expected)
        if samples.spacing is not None:
            sides = np.array(image.shape) * 0.2 / SIZE
            own = np.full(2, 0.2)
            wanted = {
                "squash": sides,
                "pad": np.full(2, sides.max()),
                "crop": np.full(2, sides.min()),
                "native": own,
            }[fit]
            np.testing.assert_allclose(samples.spacing[row], wanted, rtol=1e-6)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("make", [of_coco, of_table, of_dicom])
def test_images_and_masks_are_fitted(
    make: Callable[..., tuple[Any, Known]], fit: str, tmp_path: Path, trees: Any
) -> None:
    source, known = make(tmp_path / "set", trees, fit)
    check(join_samples(list(source.load().values())), known, fit)


def busi_known(root: Path) -> Known:
    """Images and united masks of BUSI's tree, by id."""
    known: Known = {}
    for path in sorted(root.rglob("*.png")):
        if "_mask" not in path.name:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("L"))
            mask = np.zeros(pixels.shape, np.uint8)
            for file in path.parent.glob(f"{path.stem}_mask*.png"):
                with Image.open(file) as drawn:
                    mask |= (np.asarray(drawn.convert("L")) > 127).astype(np.uint8)
            known[path.stem] = (pixels, mask)
    return known


@pytest.mark.parametrize("fit", FITS)
def test_busi_is_fitted(fit: str, busi_tree: Callable[[int], Path]) -> None:
    root = busi_tree(4)
    check(join_samples(list(BUSI(str(root), size=SIZE, channels=1, fit=fit).load().values())), busi_known(root), fit)


@pytest.mark.full
@pytest.mark.parametrize("fit", FITS)
def test_the_real_busi_is_fitted(fit: str, real_busi: Path) -> None:
    source = BUSI(str(real_busi / "Dataset_BUSI_with_GT"), size=SIZE, channels=1, fit=fit, on_error="skip")
    samples = join_samples(list(source.load().values()))
    known = busi_known(real_busi / "Dataset_BUSI_with_GT")
    kept = {Path(name).name for name in samples.ids}
    assert len(kept) > 600
    check(samples, {name: pair for name, pair in known.items() if name in kept}, fit)


def test_every_fit_has_its_own_numbers(tmp_path: Path, trees: Any) -> None:
    seen = [of_coco(tmp_path / fit, trees, fit)[0].load()["train"].images for fit in FITS]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(seen, 2))
