"""`rankdice` against the best of all masks, with the exact expected Dice of independent pixels."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tandem.decisions.rankdice import rankdice
from tandem.errors import ConfigError

pytest.importorskip("rankseg", reason="the extra rankdice is not installed")

ALL = torch.zeros(1) + 1e-9
"""A threshold that every pixel reaches."""

Floats = npt.NDArray[np.float64]


def every_mask(pixels: int) -> Floats:
    return np.array(list(itertools.product([0, 1], repeat=pixels)), dtype=float)


def expected_dice(p: Floats, masks: Floats) -> Floats:
    """Expected Dice of each mask over all 2^d true masks; an empty true mask scores 0 with any mask."""
    truths = every_mask(len(p))
    chance = np.prod(np.where(truths == 1, p, 1 - p), axis=1)
    both = masks.sum(1)[:, None] + truths.sum(1)[None]
    found: Floats = (2 * masks @ truths.T / np.maximum(both, 1)) @ chance
    return found


def decided(p: Floats, threshold: torch.Tensor = ALL) -> Floats:
    return rankdice(torch.from_numpy(p)[None, None, None], threshold)[0, 0, 0].double().numpy()


def top_dice(p: Floats) -> Floats:
    """Exact expected Dice of the 1, 2, ... most probable pixels: O(d^3), by the distribution of the number of hits."""
    ranked = -np.sort(-p)
    rest = [np.ones(1)]
    for one in ranked[::-1]:
        rest.append(np.convolve(rest[-1], [1 - one, one]))
    found, hits = [], np.ones(1)
    for size in range(1, len(p) + 1):
        hits = np.convolve(hits, [1 - ranked[size - 1], ranked[size - 1]])
        missed = rest[len(p) - size]
        x, y = np.arange(len(hits))[:, None], np.arange(len(missed))[None]
        found.append(float((hits[:, None] * missed[None] * 2 * x / (size + x + y)).sum()))
    return np.array(found)


@pytest.mark.parametrize("seed", range(12))
def test_no_mask_is_much_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.choice([0.3, 1.0, 3.0], 2).tolist()
    p = rng.beta(a, b, int(rng.integers(1, 13))).clip(1e-3, 1 - 1e-3)
    chosen = expected_dice(p, decided(p)[None])[0]
    assert chosen >= expected_dice(p, every_mask(len(p))).max() - 0.05


def test_the_two_oracles_agree() -> None:
    p = np.array([0.9, 0.2, 0.45, 0.6, 0.05, 0.5])
    by_size = [
        expected_dice(p, m).max()
        for m in np.split(every_mask(6)[every_mask(6).sum(1).argsort(kind="stable")][1:], [6, 21, 41, 56, 62])
    ]
    np.testing.assert_allclose(top_dice(p), by_size)


@pytest.mark.parametrize(("pixels", "within"), [(30, 0.01), (100, 0.002), (200, 0.001)])
def test_the_approximation_is_better_the_larger_the_image(pixels: int, within: float) -> None:
    rng = np.random.default_rng(pixels)
    for sharp in (0.3, 1.0):
        p = rng.beta(sharp, sharp * 2, pixels)
        assert top_dice(p)[int(decided(p).sum()) - 1] >= top_dice(p).max() - within


def test_the_most_probable_pixels_are_in_it() -> None:
    p = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0)) ** 2
    mask = rankdice(p, torch.full((3,), 0.5))
    for inside, values in zip(mask.flatten(0, 1), p.flatten(0, 1), strict=True):
        assert values[inside].min() >= values[~inside].max()


def test_where_no_pixel_reaches_the_threshold_it_is_empty() -> None:
    p = np.array([0.4, 0.3, 0.2])
    assert not decided(p, torch.tensor([0.41])).any()
    assert decided(p, torch.tensor([0.39])).any()


def test_a_resized_map_may_lie_a_rounding_error_outside() -> None:
    assert decided(np.array([1 + 1e-7, -1e-8, 0.2])).tolist() == [1, 0, 0]


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rankseg", None)
    with pytest.raises(ConfigError, match=r"decide=rankdice needs rankseg .*tandem-mtl\[rankdice\]"):
        decided(np.array([0.5]))
