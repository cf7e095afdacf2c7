"""Colours that readers with each kind of colour blindness can tell apart."""

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_cie76, rgb2lab

from tandem.reports.palette import DASHES, FALSE, HIT, LINES, MARKERS, MISS, STYLES, UNKNOWN, colour, marker, rgb, style

SEEN = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""What linear RGB becomes: Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color
vision deficiency" (2009), severity 1."""


def seen(code: tuple[int, int, int], kind: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The colour in CIE Lab, as a reader with this kind of vision sees it."""
    share = np.array(code) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    changed = np.clip(np.array(SEEN[kind]) @ linear, 0, 1)
    shown = np.where(changed <= 0.0031308, changed * 12.92, 1.055 * changed ** (1 / 2.4) - 0.055)
    lab: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = rgb2lab(shown[None, None])[0, 0]
    return lab


@pytest.mark.parametrize("kind", SEEN)
def test_errors_on_an_image_differ_for_every_reader(kind: str) -> None:
    for one, other in combinations((HIT, MISS, FALSE), 2):
        assert deltaE_cie76(seen(one, kind), seen(other, kind)) >= 35, "green against red: 10 in deuteranopia"
    for one in (HIT, MISS, FALSE):
        assert deltaE_cie76(seen(one, kind), seen(UNKNOWN, kind)) >= 19


@pytest.mark.parametrize("kind", SEEN)
def test_lines_differ_in_colour_or_else_in_dashes_and_markers(kind: str) -> None:
    for one, other in combinations(range(len(LINES)), 2):
        distance = deltaE_cie76(seen(rgb(one), kind), seen(rgb(other), kind))
        assert distance >= 10
        assert distance >= 20 or (style(one), marker(one)) != (style(other), marker(other))


def test_after_the_last_one_they_begin_again() -> None:
    assert [colour(index) for index in range(len(LINES) + 1)] == [*LINES, LINES[0]]
    assert len(set(MARKERS)) == len(LINES) == len(MARKERS)
    assert len(STYLES) == len(DASHES)
    assert rgb(0) == (0x00, 0x72, 0xB2)
