"""`data.crop=random`: squares of training are those of the files, as a function of seed, epoch and row."""

import itertools
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tandem.config.identity import run_hash
from tandem.data.batch import Batch
from tandem.data.files import whole_images
from tandem.data.folder import Folder
from tandem.data.loading.loading import loader
from tandem.data.mixed import Mixed
from tandem.data.phantom import Phantom
from tandem.data.samples import Samples
from tandem.errors import DataError

SIDE = 16
SIZES = [(40, 60), (61, 40), (33, 32), (9, 50), (16, 16)]
"""Height and width; one is smaller than the square in one direction, one is the square."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def files(root: Path, trees: Any, deep: bool = False) -> Path:
    """Noise with masks of few pixels, one of each size; the last image has no mask."""
    for number, (height, width) in enumerate(SIZES * 2):
        pixels = np.random.default_rng(number).integers(1, 250, (height, width)).astype(np.uint8)
        trees.save(root / "images" / f"i{number}.png", pixels.astype(np.uint16) * 200 if deep else pixels)
        if number:
            trees.save(root / "masks" / f"i{number}.png", ((pixels > 240) * 255).astype(np.uint8))
    return root


def folder(root: Path, **options: Any) -> Folder:
    given = {"fit": "native", "crop": "random", "near_duplicates": False, **options}
    return Folder(str(root), images="images/{id}", masks="masks/{id}", size=SIDE, **given)


def batches(samples: Samples, epochs: int = 2, workers: int = 0, seed: int = 0, resume: Any = (0, 0)) -> list[Batch]:
    made = loader(samples, 3, workers, seed, train=True, resume=resume)
    found = []
    for epoch in range(resume[0], epochs):
        sampler: Any = made.sampler
        sampler.set_epoch(epoch)
        found += list(made)
    return found


def by_hand(root: Path, name: str, fit: str) -> tuple[np.ndarray, np.ndarray]:
    """The whole image and its mask at the scale of the squares, padded in its middle to at least a square."""
    image: Image.Image = Image.open(root / "images" / f"{name}.png")
    drawn = root / "masks" / f"{name}.png"
    mask: Image.Image | None = Image.open(drawn) if drawn.is_file() else None
    if fit == "crop":
        scale = SIDE / min(image.size)
        cells = round(image.width * scale), round(image.height * scale)
        image = image.resize(cells, Image.Resampling.BILINEAR)
        mask = mask and mask.resize(cells, Image.Resampling.NEAREST)
    pixels = np.asarray(image)
    known = np.full(pixels.shape, 255, np.uint8) if mask is None else (np.asarray(mask) > 0).astype(np.uint8)
    rest = [max(0, SIDE - length) for length in pixels.shape]
    ends = [(one // 2, one - one // 2) for one in rest]
    return np.pad(pixels, ends), np.pad(known, ends, constant_values=255)


def place_of(square: np.ndarray, whole: np.ndarray) -> tuple[int, int]:
    """The only place at which a square of noise lies."""
    views = np.lib.stride_tricks.sliding_window_view(whole, square.shape)
    (found,) = np.argwhere((views == square).all((2, 3))).tolist()
    return found[0], found[1]


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("fit", ["native", "crop"])
def test_squares_are_those_of_the_files_with_their_masks(fit: str, share: float, tmp_path: Path, trees: Any) -> None:
    root = files(tmp_path / "set", trees)
    splits = folder(root, fit=fit, foreground_crops=share).load()
    seen: dict[str, list[tuple[int, int]]] = {}
    for batch in batches(splits["train"], epochs=12):
        for name, image, mask in zip(batch["id"], batch["image"], batch["mask"], strict=True):
            pixels, known = by_hand(root, Path(name).name, fit)
            top, left = place_of(torch.round(image[0] * 255).numpy().astype(np.uint8), pixels)
            square = known[top : top + SIDE, left : left + SIDE]
            np.testing.assert_array_equal(mask[0].numpy(), square)
            assert not share or not (known == 1).any() or (square == 1).any()
            seen.setdefault(name, []).append((top, left))
    for name, places in seen.items():
        shape = by_hand(root, Path(name).name, fit)[0].shape
        assert len(set(places)) > 3 if max(shape) > SIDE + 8 else len(places) == 12
    for split in ("val", "test"):  # the middle, in every epoch
        (batch,) = loader(splits[split], 9, 0, 0, train=False)
        assert torch.equal(batch["image"], splits[split].take(range(len(splits[split])))["image"])
        for name, image in zip(batch["id"], batch["image"], strict=True):
            if fit == "native":
                pixels, _ = by_hand(root, Path(name).name, fit)
                middle = [(length - SIDE) // 2 for length in pixels.shape]
                expected = pixels[middle[0] :, middle[1] :][:SIDE, :SIDE]
                np.testing.assert_array_equal(torch.round(image[0] * 255).numpy(), expected)


def same(one: list[Batch], other: list[Batch]) -> bool:
    return [batch["id"] for batch in one] == [batch["id"] for batch in other] and all(
        torch.equal(first[key], second[key])
        for first, second in zip(one, other, strict=True)
        for key in ("image", "mask", "draw")
    )


def test_squares_are_a_function_of_seed_epoch_and_row(tmp_path: Path, trees: Any, monkeypatch: Any) -> None:
    root = files(tmp_path / "set", trees)
    samples = folder(root, foreground_crops=0.4).load()["train"]
    once = batches(samples, epochs=3)
    monkeypatch.setattr(whole_images, "read_raster", None)  # the second time from the cache
    again = folder(root, foreground_crops=0.4).load()["train"]
    assert same(once, batches(again, epochs=3))
    spawned = pickle.loads(pickle.dumps(again))  # noqa: S301 (what was packed here)
    assert same(once, batches(spawned, epochs=3))
    assert same(once, batches(again, epochs=3, workers=2))
    assert same(once[len(once) // 3 + 1 :], batches(again, epochs=3, resume=(1, 1))), "a resumed run"
    assert not same(once, batches(again, epochs=3, seed=1))
    chosen = again.pick([2, 0])
    assert chosen.whole is not None
    numbers = np.full((1, 4), 0.5)
    assert torch.equal(chosen.take([0], numbers)["image"], again.take([2], numbers)["image"])


@pytest.mark.parametrize("deep", [False, True])
def test_without_a_cache_the_squares_are_the_same(deep: bool, tmp_path: Path, trees: Any, caplog: Any) -> None:
    root = files(tmp_path / "set", trees, deep)
    expected = batches(folder(root).load()["train"])
    (tmp_path / "file").write_text("no folder")
    caplog.set_level(logging.INFO)
    samples = folder(root, cache=str(tmp_path / "file")).load()["train"]
    assert same(expected, batches(samples))
    assert "whole images for random crops" in caplog.text
    assert "DECODED FOR EACH BATCH" in caplog.text
    trees.save(root / "images" / f"{Path(samples.ids[0]).name}.png", np.ones((5, 5), np.uint8))
    with pytest.raises(DataError, match="changed while the data were in use") as error:
        batches(samples)
    assert "\n" not in str(error.value)


def test_each_fit_has_a_cache_of_its_own_and_a_damaged_one_is_made_again(tmp_path: Path, trees: Any) -> None:
    root, cache = files(tmp_path / "set", trees), tmp_path / "cache"
    found = {fit: batches(folder(root, fit=fit).load()["train"]) for fit in ("native", "crop")}
    made = sorted(cache.glob("folder-*.npz"))
    assert len(made) == 4, "squares and whole images"
    folder(root, foreground_crops=0.5).load()["train"].take([0], np.full((1, 4), 0.9))
    folder(root, crop="centre").load()
    assert sorted(cache.glob("folder-*.npz")) == made, "neither the share nor the centre needs another"
    for path in made:
        path.write_bytes(path.read_bytes()[:-30])
    for fit, before in found.items():
        assert same(before, batches(folder(root, fit=fit).load()["train"]))


def test_nothing_is_decoded_before_training_asks(tmp_path: Path, trees: Any) -> None:
    root = files(tmp_path / "set", trees)
    splits = folder(root).load()
    for split in splits:
        list(loader(splits[split], 4, 0, 0, train=False))
    assert len(list((tmp_path / "cache").glob("folder-*.npz"))) == 1, "an evaluation needs the central squares alone"


def test_what_squares_hold_is_said(tmp_path: Path, trees: Any, caplog: Any) -> None:
    root = files(tmp_path / "set", trees)
    shares = [100 * min(SIDE, height) * min(SIDE, width) / (height * width) for height, width in SIZES]
    caplog.set_level(logging.INFO)
    folder(root).load()
    middle, least = np.median(shares), min(shares)
    said = f"holds {middle:.0f}% of an image's pixels (median; least {least:.0f}%); training sees the rest"
    assert said in caplog.text
    folder(root, crop="centre").load()
    assert "the rest is not seen unless data.crop=random shows it to training" in caplog.text
    caplog.clear()
    Folder(str(root), images="images/{id}", masks="masks/{id}", size=64, fit="native", crop="random").load()
    assert (
        "data.crop=random changes nothing, since with data.fit=native and data.size=64 no image is larger"
        in caplog.text
    )


def test_files_and_drawn_images_are_mixed(tmp_path: Path, trees: Any) -> None:
    root = files(tmp_path / "set", trees)
    drawn = Phantom(size=32, train=4, val=2, test=2)
    source = Folder(
        str(root), images="images/{id}", masks="masks/{id}", size=32, fit="native", crop="random",
        near_duplicates=False,
    )  # fmt: skip
    samples = Mixed({"files": source, "drawn": drawn}).load()["train"]
    one, two = batches(samples, 1), batches(samples, 2)[len(batches(samples, 1)) :]
    rows = [{n: i for batch in part for n, i in zip(batch["id"], batch["image"], strict=True)} for part in (one, two)]
    both = rows[0].keys() & rows[1].keys()
    moved = {name for name in both if not torch.equal(rows[0][name], rows[1][name])}
    assert moved
    assert all(name.startswith("files/") for name in moved)
    assert any(name.startswith("drawn/") for name in both)


def test_old_hashes_stay() -> None:
    before = {"data": {"size": 8, "fit": "crop"}}
    neutral = {"data": {"size": 8, "fit": "crop", "crop": "centre", "foreground_crops": 0.0}}
    assert run_hash(neutral) == run_hash(before)
    changed = [{"crop": "random"}, {"foreground_crops": 0.5}, {"fit": "native"}]
    hashes = [run_hash({"data": {**neutral["data"], **one}}) for one in changed]  # type: ignore[dict-item]
    assert all(one != other for one, other in itertools.combinations([*hashes, run_hash(before)], 2))
