"""`rankdice` against the best of all masks or labellings, with the exact expected Dice of independent pixels."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tandem.decisions.decision import Decision
from tandem.decisions.rankdice import rankdice, rankdice_classes
from tandem.decisions.stages import decided_classes
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


# -------------------------------------------------------------------------------------------------------------- classes


def every_labelling(pixels: int, classes: int) -> npt.NDArray[np.int64]:
    return np.array(list(itertools.product(range(classes), repeat=pixels)))


def mean_expected_dice(p: Floats, labellings: npt.NDArray[np.int64]) -> Floats:
    """Mean over the classes of the expected Dice of each labelling, over all true ones; an empty class scores 0."""
    truths = every_labelling(p.shape[1], len(p))
    chance = np.prod(p[truths, np.arange(p.shape[1])], axis=1)
    scores = []
    for c in range(len(p)):
        drawn, true = (labellings == c).astype(float), (truths == c).astype(float)
        both = drawn.sum(1)[:, None] + true.sum(1)[None]
        scores.append((2 * drawn @ true.T / np.maximum(both, 1)) @ chance)
    found: Floats = np.mean(scores, axis=0)
    return found


def labelled(p: Floats) -> npt.NDArray[np.int64]:
    return rankdice_classes(torch.from_numpy(p)[None, :, None])[0, 0].numpy()


def test_no_labelling_of_a_few_pixels_is_much_better() -> None:
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(80):
        p = rng.dirichlet(np.array([2.0, 1.0, 1.0]) * rng.choice([0.3, 1.0, 3.0]), size=int(rng.integers(3, 7))).T
        every = every_labelling(p.shape[1], 3)
        allowed = every[np.isin(every, p.argmax(0)).all(1)]
        gaps.append(mean_expected_dice(p, allowed).max() - mean_expected_dice(p, labelled(p)[None])[0])
    assert min(gaps) > -1e-9, "no class that is likeliest nowhere is drawn"
    assert max(gaps) < 0.06
    assert np.mean(gaps) < 0.01


def bernoulli_sum(p: Floats) -> Floats:
    """The distribution of the number of true pixels."""
    found = np.ones(1)
    for one in p:
        found = np.convolve(found, [1 - one, one])
    return found


def exact_dice(p: Floats, mask: npt.NDArray[np.bool_]) -> float:
    """Expected Dice of one mask."""
    hits, missed = bernoulli_sum(p[mask]), bernoulli_sum(p[~mask])
    x, y = np.arange(len(hits))[:, None], np.arange(len(missed))[None]
    return float((hits[:, None] * missed[None] * 2 * x / np.maximum(mask.sum() + x + y, 1)).sum())


def blobs(seed: int, side: int = 12, classes: int = 4) -> Floats:
    """Smooth probabilities of a background and several lesions, some of them unsure."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    logits = np.ones((classes, side, side))
    for c in range(1, classes):
        y, x, radius = (*rng.uniform(0.2, 0.8, 2), rng.uniform(0.1, 0.3))
        away = ((rows - y) ** 2 + (columns - x) ** 2) / radius**2
        logits[c] = rng.uniform(-3, 3) + 4 * (1 - away).clip(-2)
    found: Floats = torch.softmax(torch.from_numpy(logits * rng.choice([0.3, 0.6, 1.0])), 0).flatten(1).numpy()
    return found


@pytest.mark.parametrize("seed", range(6))
def test_masks_of_classes_are_close_to_the_best_that_may_overlap(seed: int) -> None:
    p = blobs(seed)
    likeliest, found = p.argmax(0), labelled(p)
    there = np.unique(likeliest)
    assert set(np.unique(found)) <= set(there)
    bound = np.mean([top_dice(p[c]).max() for c in there])
    plain, ranked = (np.mean([exact_dice(p[c], mask == c) for c in there]) for mask in (likeliest, found))
    assert plain < ranked <= bound + 1e-9
    assert bound - ranked < 0.025


def test_of_two_classes_the_foreground_is_close_to_the_best_mask() -> None:
    rng = np.random.default_rng(3)
    one = rng.beta(0.5, 1.0, 200)
    found = labelled(np.stack([1 - one, one]))
    assert one[found == 1].min() >= one[found == 0].max(), "pixels are ranked"
    assert abs(int(found.sum()) - int(top_dice(one).argmax()) - 1) <= 20, "the background's Dice counts too"


def test_a_decision_gives_each_pixel_one_class() -> None:
    p = torch.softmax(torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0)), 1)
    assert torch.equal(decided_classes(p, Decision()), p.argmax(1))
    assert torch.equal(decided_classes(p, Decision(temperature=2.0)), p.argmax(1))
    found = decided_classes(p, Decision("rankdice"))
    assert torch.equal(found, rankdice_classes(p))
    assert found.shape == (2, 6, 7)
    for index in range(2):
        assert torch.equal(rankdice_classes(p[index : index + 1])[0], found[index]), "image by image"
