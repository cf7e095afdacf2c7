"""Colours show true positives, false negatives and false positives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tandem.reports.palette import FALSE, HIT, MISS, UNKNOWN
from tandem.reports.panels import panel_row, panel_sheet


def grey(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return (image.mean(0).clamp(0, 1).numpy() * np.float32(255)).astype(np.uint8)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), channels=st.sampled_from([1, 3]), dtype=st.sampled_from([torch.uint8, torch.int64]))
def test_every_pixel_has_its_colour(seed: int, channels: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.random((channels, 5, 4), dtype=np.float32))
    mask = torch.from_numpy(rng.choice([0, 1, 255], (5, 4))).to(dtype)
    predicted = torch.from_numpy(rng.random((5, 4)) < 0.5)
    row = panel_row(image, mask, predicted)
    assert row.shape == (5, 16, 3)
    assert row.dtype == np.uint8
    shown, truth, answer, error = (row[:, 4 * part : 4 * part + 4] for part in range(4))
    base = grey(image)
    for y in range(5):
        for x in range(4):
            assert shown[y, x].tolist() == [base[y, x]] * 3
            known, yes = int(mask[y, x]), bool(predicted[y, x])
            assert truth[y, x].tolist() == [{0: 0, 1: 255, 255: 90}[known]] * 3
            assert answer[y, x].tolist() == [255 if yes else 0] * 3
            right = {(0, True): FALSE, (1, True): HIT, (1, False): MISS, (0, False): (base[y, x] // 2,) * 3}
            assert tuple(error[y, x]) == right.get((known, yes), UNKNOWN)


def test_a_wholly_missing_mask_is_grey() -> None:
    row = panel_row(torch.ones(1, 3, 3), torch.full((3, 3), 255), torch.ones(3, 3, dtype=torch.bool))
    assert (row[:, 3:6] == 90).all()
    assert (row[:, 9:] == UNKNOWN).all()


def test_greys_outside_the_range_do_not_wrap_around() -> None:
    image = torch.tensor([[[-1.0, 0.0, 1.0, 1.5]]])
    row = panel_row(image, torch.zeros(1, 4), torch.zeros(1, 4, dtype=torch.bool))
    assert row[0, :4, 0].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize(("count", "gap"), [(1, 4), (2, 4), (3, 1), (2, 0)])
def test_a_sheet_is_rows_with_light_gaps_between(count: int, gap: int) -> None:
    rows = [np.full((2, 5, 3), index, dtype=np.uint8) for index in range(count)]
    sheet = panel_sheet(rows, gap)
    assert sheet.shape == (2 * count + gap * (count - 1), 5, 3)
    for index in range(count):
        start = index * (2 + gap)
        assert (sheet[start : start + 2] == index).all()
        assert (sheet[start + 2 : start + 2 + gap] == 230).all()
