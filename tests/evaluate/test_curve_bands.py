"""Bands of curves: they hold the curve, narrow with more images, and are missing where nothing is known."""

import numpy as np
import pytest
from scipy import stats

from tandem.evaluate.curve_bands import AT, answer_sums, ranking_bands, reliability_bands, score_counts
from tandem.evaluate.reliability import reliability
from tandem.utils.resampling import BootstrapSamples


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are normal with mean 1 for half of the images and 0 for the others, mapped to (0, 1)."""
    positive = np.arange(count) % 2 == 0
    raw = np.random.default_rng(seed).normal(positive.astype(float), 1.0)
    return stats.norm.cdf(raw - 0.5), positive


def test_a_roc_band_holds_the_true_curve_and_narrows() -> None:
    true = stats.norm.sf(stats.norm.isf(AT[1:-1]) - 1)  # of two normal distributions one apart
    widths = []
    for count in (60, 600):
        scores, positive = drawn(count)
        band = ranking_bands(*score_counts(scores, positive), BootstrapSamples(200, 0, np.arange(count)))
        low, high = (np.array(band[f"sensitivity.{side}"], dtype=float)[1:-1] for side in ("low", "high"))
        assert np.mean((low <= true) & (true <= high)) > 0.9
        widths.append(float((high - low).mean()))
    assert widths[1] < 0.5 * widths[0]


def test_a_precision_band_is_that_of_a_loop() -> None:
    scores, positive = drawn(30)
    samples = BootstrapSamples(40, 1, np.arange(30))
    band = ranking_bands(*score_counts(scores, positive), samples)
    values = []
    for weights in next(samples.weights()):
        order = np.argsort(-scores)
        hits, false = np.cumsum((weights * positive)[order]), np.cumsum((weights * ~positive)[order])
        values.append(next(h / (h + f) for h, f in zip(hits, false, strict=True) if h >= 0.5 * hits[-1]))
    assert min(values) <= band["precision.low"][25] <= np.median(values) <= band["precision.high"][25] <= max(values)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_score_counts_hold_every_image_once(count: int) -> None:
    scores, positive = drawn(count)
    hits, false = score_counts(scores, positive)
    assert hits.sum(1).tolist() == positive.astype(float).tolist()
    assert (hits + false).sum(1).tolist() == [1.0] * count
    assert np.argmax(hits + false, axis=1).tolist() == np.argsort(np.argsort(-scores)).tolist()


def test_a_calibration_band_has_the_bins_of_the_curve_and_holds_it() -> None:
    scores, positive = drawn(200)
    line = reliability(scores, positive.astype(float))
    band = reliability_bands(answer_sums(scores, positive.astype(float)), BootstrapSamples(200, 0, np.arange(200)))
    ends = zip(line["share"], band["share.low"], band["share.high"], strict=True)
    assert all(low <= share <= high for share, low, high in ends if low is not None and high is not None)


def test_one_group_of_images_has_no_band() -> None:
    scores, positive = drawn(10)
    band = ranking_bands(*score_counts(scores, positive), BootstrapSamples(20, 0, np.zeros(10)))
    assert set(band["sensitivity.low"]) == {None}
