"""Random squares: inside the image, everywhere alike, around the foreground as often as asked."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.data.loading.crops import DRAWS, Crops, Squares, Whole, corner, join_whole, read_crops
from tandem.errors import ConfigError


def drawn(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, DRAWS))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(5, 30), width=st.integers(5, 30), side=st.integers(1, 5), share=st.sampled_from([0.0, 0.5, 1.0]),
    numbers=st.lists(st.floats(0, 1, exclude_max=True), min_size=DRAWS, max_size=DRAWS), seed=st.integers(0, 9),
)  # fmt: skip
def test_a_square_lies_inside_and_around_what_is_asked(
    height: int, width: int, side: int, share: float, numbers: list[float], seed: int
) -> None:
    random = np.random.default_rng(seed)
    masks = random.choice([0, 1, 2, 255], (2, height, width), p=[0.9, 0.03, 0.03, 0.04]).astype(np.uint8)
    top, left = corner(masks, (height, width), side, np.array(numbers), share)
    assert 0 <= top <= height - side
    assert 0 <= left <= width - side
    square = masks[:, top : top + side, left : left + side]
    if numbers[0] < share and np.isin(masks, (1, 2)).any():
        assert np.isin(square, (1, 2)).any()


def test_every_place_is_as_likely_as_every_other() -> None:
    masks, counts = np.zeros((1, 6, 8), np.uint8), np.zeros((3, 5))
    for numbers in drawn(15_000):
        counts[corner(masks, (6, 8), 4, numbers, 1.0)] += 1  # nothing is foreground
    expected = 1000
    assert ((counts - expected) ** 2 / expected).sum() < 36.1, "chi squared, 14 degrees of freedom, p = 0.001"


def test_foreground_is_in_the_middle_as_often_as_asked_and_small_classes_as_often_as_large_ones() -> None:
    masks = np.zeros((1, 40, 60), np.uint8)
    masks[0, 4:16, 4:34] = 1
    masks[0, 30, 50] = 2
    masks[0, 20:, :10] = 255
    share, count = 0.33, 6000
    middles = [corner(masks, (40, 60), 8, numbers, share) for numbers in drawn(count, 1)]
    classes = [int(masks[0, top + 4, left + 4]) for top, left in middles]
    inside = np.zeros(3)
    for top in range(33):  # of squares drawn without foreground, so many have each class in the middle
        for left in range(53):
            value = masks[0, top + 4, left + 4]
            inside[value if value != 255 else 0] += 1 / (33 * 53)
    for value in (1, 2):
        expected = share / 2 + (1 - share) * inside[value]
        spread = math.sqrt(expected * (1 - expected) / count)
        assert abs(classes.count(value) / count - expected) < 4 * spread


def test_rows_of_several_sets_keep_their_place() -> None:
    one = torch.arange(36, dtype=torch.uint8).view(4, 1, 3, 3)
    other = one[:2] + 100
    parts = []
    for images in (one, other):
        rows = torch.arange(len(images))
        parts.append(Whole((Squares(images, images % 2),), torch.stack([torch.zeros_like(rows), rows], 1), 3))
    joined = join_whole(parts).pick(torch.tensor([5, 1, 4]))
    images, masks = joined.squares(torch.tensor([2, 0]), drawn(2), torch.float32)
    assert images.dtype == torch.float32
    assert torch.equal(images, torch.stack([other[0], other[1]]).float())
    assert torch.equal(masks, torch.stack([other[0], other[1]]) % 2)
    assert len(joined) == 3


def test_a_hidden_mask_neither_shows_nor_draws_the_place() -> None:
    image, mask = torch.zeros(2, 1, 40, 40), torch.zeros(2, 1, 40, 40, dtype=torch.uint8)
    mask[:, :, 3, 3] = 1
    part = Squares(image, mask)
    part.foreground = 1.0
    plain = Whole((part,), torch.tensor([[0, 0], [0, 1]]), 8)
    known, unknown = plain.pick(torch.tensor([1])), replace(plain.pick(torch.tensor([0])), hidden=torch.tensor([True]))
    joined = join_whole([known, unknown]).pick(torch.tensor([1, 0, 1]))
    numbers = np.full((3, DRAWS), 0.9)
    _, masks = joined.squares(torch.arange(3), numbers, torch.float32)
    assert (masks[[0, 2]] == 255).all()
    assert int((masks[1] == 1).sum()) == 1
    assert corner(np.full((1, 40, 40), 255), (40, 40), 8, numbers[0], 1.0) == (29, 29), "as without any foreground"


def test_the_options_are_read() -> None:
    assert read_crops("centre", 0.0, "squash") is None
    assert read_crops("random", 0, "crop") == Crops(0.0)
    assert read_crops("random", 0.33, "native") == Crops(0.33)


@pytest.mark.parametrize(
    ("crop", "foreground", "fit", "message"),
    [
        ("rando", 0, "crop", r"data\.crop is 'rando': did you mean 'random'"),
        (True, 0, "crop", r"data\.crop is True"),
        ("random", 0, "squash", r"data\.crop=random needs data\.fit=crop or data\.fit=native"),
        ("random", 0.3, "pad", r"with data\.fit=pad a square is the whole image"),
        ("random", 1.2, "crop", r"data\.foreground_crops is 1\.2, but must be a share from 0 to 1"),
        ("random", math.nan, "crop", "must be a share"),
        ("random", "a third", "crop", "must be a share"),
        ("random", True, "crop", "must be a share"),
        ("centre", 0.3, "crop", r"without effect: set data\.crop=random too"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(crop: Any, foreground: Any, fit: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read_crops(crop, foreground, fit)
    assert "\n" not in str(error.value)
