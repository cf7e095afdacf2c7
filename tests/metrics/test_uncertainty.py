"""Intervals and the nested estimate: against plain loops, scipy, and what is true by construction."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
import torch
from torch import Tensor

from tandem.errors import ConfigError, DataError
from tandem.metrics import DiceSweep, SweepResult, uncertainty

GRID = [0.2, 0.35, 0.5, 0.65, 0.8]


def images(count: int, seed: int = 0, channels: int = 1, skill: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(count, channels, 6, 6, generator=generator) < 0.3).to(torch.uint8)
    target[::5] = 0
    p = torch.sigmoid(skill * (2.0 * target - 1) + torch.randn(target.shape, generator=generator))
    return p, target


def swept(p: Tensor, target: Tensor, thresholds: Any = GRID, **params: Any) -> SweepResult:
    sweep = DiceSweep(thresholds, images=True, **params)
    sweep.update(p, target)
    result: SweepResult = sweep.compute()
    return result


def scores(p: Tensor, target: Tensor, rows: npt.NDArray[np.int64], params: dict[str, Any]) -> tuple[float, Tensor]:
    """The best threshold and the curve of some images, which may repeat, from the pixels."""
    found = swept(p[rows], target[rows], **params)
    return float(found.threshold), found.objective.score(found.counts)[0]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"aggregate": "per_image"},
        {"aggregate": "per_image", "empty": "score"},
        {"objective": "youden"},
        {"objective": "sensitivity", "specificity": 0.8},
        {"objective": "fbeta", "beta": 2.0},
    ],
    ids=str,
)
def test_the_bootstrap_is_a_loop_over_samples(params: dict[str, Any]) -> None:
    p, target = images(12)
    whole = swept(p, target, **params)
    found = whole.bootstrap(samples=40, level=0.8, seed=3)
    drawn = torch.randint(12, (40, 12), generator=torch.Generator().manual_seed(3)).numpy()
    _, curve = scores(p, target, np.arange(12), params)
    chosen, thresholds, at_chosen, flattery = int(whole.best()), [], [], []
    for rows in drawn:
        best, sample = scores(p, target, rows, params)
        thresholds.append(best)
        at_chosen.append(float(sample[chosen]))
        index = whole.index_of(best)
        flattery.append(float(sample[index] - curve[index]))
    assert found.threshold.tolist() == pytest.approx(np.quantile(thresholds, [0.1, 0.9]).tolist())
    assert found.score.tolist() == pytest.approx(np.quantile(at_chosen, [0.1, 0.9]).tolist())
    assert float(found.optimism) == pytest.approx(np.mean(flattery))
    if params.get("objective", "dice") == "dice":
        assert found.dice.equal(found.score)


def test_the_interval_of_a_mean_is_that_of_scipy() -> None:
    p, target = images(60)
    target[:, :, 0, 0] = 1  # every image has foreground
    result = swept(p, target, [0.5], aggregate="per_image")
    each = [float(swept(p[i : i + 1], target[i : i + 1], [0.5]).dice) for i in range(60)]
    theirs = scipy.stats.bootstrap(
        (each,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(0)
    ).confidence_interval
    ours = result.bootstrap(samples=4000).dice
    assert ours.tolist() == pytest.approx([theirs.low, theirs.high], abs=0.1 * (theirs.high - theirs.low))


def test_computing_with_an_interval_gives_the_result_and_the_interval() -> None:
    sweep = DiceSweep(GRID, aggregate="per_image")
    sweep.update(*images(10, channels=2))
    plain, result = sweep.compute(), sweep.compute(ci=True, samples=50)
    assert plain.interval is None
    assert result.interval is not None
    assert result.interval.threshold.shape == result.interval.dice.shape == (2, 2)
    assert result.dice.equal(plain.dice)
    low, high = result.interval.dice.unbind(1)
    assert (low <= result.dice).all()
    assert (result.dice <= high).all()
    again, other = sweep.compute(ci=True, samples=50).interval, sweep.compute(ci=True, samples=50, seed=1).interval
    assert again is not None
    assert other is not None
    assert again.dice.equal(result.interval.dice)
    assert not other.dice.equal(result.interval.dice)
    for channel in range(2):
        alone = result[channel].bootstrap(samples=50)
        assert alone.dice.equal(result.interval.dice[channel])
        assert alone.optimism == result.interval.optimism[channel]


def test_an_interval_without_images_is_refused() -> None:
    sweep = DiceSweep(GRID)
    sweep.update(*images(4))
    with pytest.raises(ConfigError, match="does not keep counts by image; create it with images=True"):
        sweep.compute(ci=True)


def test_nested_chooses_on_one_half_and_scores_on_the_other() -> None:
    p, target = images(9)
    result = swept(p, target)
    found = result.nested(repeats=6, seed=5)
    order = torch.rand(6, 9, generator=torch.Generator().manual_seed(5)).argsort(1).numpy()
    thresholds, held = [], []
    for ranks in order:
        halves = np.flatnonzero(ranks < 4), np.flatnonzero(ranks >= 4)
        for choosing, scoring in (halves, halves[::-1]):
            best, _ = scores(p, target, choosing, {})
            thresholds.append(best)
            held.append(float(swept(p[scoring], target[scoring]).dice_at(best)))
    assert float(found.score) == float(found.dice) == pytest.approx(np.mean(held))
    assert float(found.spread) == pytest.approx(np.std(held))
    assert found.threshold.tolist() == pytest.approx(np.quantile(thresholds, [0.025, 0.975]).tolist())


def test_on_noise_the_best_score_flatters_and_both_estimates_say_so() -> None:
    apparent, corrected, nested = [], [], []
    for seed in range(20):
        p, target = images(8, seed, skill=0.0)
        result = swept(p, target, "exact", objective="youden")
        apparent.append(float(result.score))
        corrected.append(float(result.score - result.bootstrap(samples=60).optimism))
        nested.append(float(result.nested(repeats=10).score))
    assert np.mean(apparent) > 0.05, "though probabilities know nothing, so that on new images J is 0"
    assert abs(np.mean(nested)) < 0.03
    assert abs(np.mean(corrected)) < np.mean(apparent) / 2


@pytest.mark.parametrize("aggregate", ["global", "per_image"])
def test_copies_of_an_image_in_its_group_change_nothing(aggregate: str) -> None:
    p, target = images(9)
    once = swept(p, target, aggregate=aggregate)
    order = torch.randperm(27, generator=torch.Generator().manual_seed(1))
    groups = torch.arange(9).repeat(3)[order]
    often = swept(p.repeat(3, 1, 1, 1)[order], target.repeat(3, 1, 1, 1)[order], aggregate=aggregate)
    expected = (*once.bootstrap(samples=50), *once.nested(repeats=9))
    grouped = (*often.bootstrap(samples=50, groups=groups), *often.nested(repeats=9, groups=groups))
    for found, value in zip(grouped, expected, strict=True):
        torch.testing.assert_close(found, value)
    low, high = often.bootstrap(samples=200).dice
    wide_low, wide_high = often.bootstrap(samples=200, groups=groups).dice
    assert high - low < 0.8 * (wide_high - wide_low), "copies that are drawn apart make the interval too narrow"


def test_parts_of_the_samples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    result = swept(*images(7), aggregate="per_image")
    whole, halves = result.bootstrap(samples=11), result.nested(repeats=11)
    monkeypatch.setattr(uncertainty, "CHUNK", 3 * len(GRID))
    for found, expected in zip(
        (*result.bootstrap(samples=11), *result.nested(repeats=11)), (*whole, *halves), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_without_any_foreground_nothing_is_known() -> None:
    p, target = images(4)
    result = swept(p, torch.zeros_like(target))
    assert result.bootstrap(samples=5).dice.isnan().all()
    assert result.bootstrap(samples=5).threshold.tolist() == [0.5, 0.5]
    assert result.nested(repeats=5).score.isnan()


@pytest.mark.parametrize("params", [{"samples": 0}, {"level": 0.0}, {"level": 1.0}, {"level": float("nan")}])
def test_bad_numbers_are_refused(params: dict[str, Any]) -> None:
    result = swept(*images(4))
    with pytest.raises(ConfigError, match="need samples >= 1 and 0 < level < 1"):
        result.bootstrap(**params)
    with pytest.raises(ConfigError, match="repeats is 0, but must be at least 1"):
        result.nested(repeats=0)


def test_one_image_or_group_has_no_interval() -> None:
    for interval in (swept(*images(1)).bootstrap(samples=9), swept(*images(4)).bootstrap(groups=torch.zeros(4))):
        assert all(bool(torch.as_tensor(value).isnan().all()) for value in interval)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="1 images are too few; an estimate over images needs at least 2"):
        swept(*images(1)).nested()
    with pytest.raises(DataError, match="0 images are too few"):
        swept(torch.zeros(0, 1, 2, 2), torch.zeros(0, 1, 2, 2)).bootstrap()


def test_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="1 groups are too few; an estimate over groups needs at least 2"):
        swept(*images(4)).nested(groups=torch.zeros(4, dtype=torch.int64))
    with pytest.raises(DataError, match="3 groups are given for 4 images; each needs exactly one"):
        swept(*images(4)).bootstrap(groups=torch.arange(3))
