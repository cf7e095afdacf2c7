"""Coverage of the image bootstrap by simulation: 95 % intervals contain the true number in 93 to 97 % of data sets."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tandem.evaluate.bootstrap import estimate, mean_of, ratio
from tandem.utils.resampling import Array, BootstrapSamples

REPEATS = 1500

Images = tuple[Array, Array, Array]
"""(M,) pixels of lesions, pixels drawn, and pixels that are both."""


def images(rng: np.random.Generator, count: int) -> Images:
    """Lesions of skewed sizes, most of them found well."""
    true = rng.lognormal(6, 0.5, count)
    drawn = true * rng.lognormal(0, 0.3, count)
    return true, drawn, rng.beta(5, 2, count) * np.minimum(true, drawn)


def scores(found: Images) -> Callable[[Array], dict[str, Array]]:
    true, drawn, hits = found
    return lambda w: {
        "dice_global": ratio(2 * (w @ hits), w @ (true + drawn)),
        "dice_lesion": mean_of(w, 2 * hits / (true + drawn)),
        "share_of_good": mean_of(w, (2 * hits / (true + drawn) > 0.5).astype(np.float64)),
    }


TRUE = {
    name: float(value[0])
    for name, value in scores(images(np.random.default_rng(9), 200_000))(np.ones((1, 200_000))).items()
}


@pytest.mark.parametrize("count", [20, 50, 200])
def test_intervals_over_images_cover_95_percent(count: int) -> None:
    rng = np.random.default_rng(count)
    inside: dict[str, int] = dict.fromkeys(TRUE, 0)
    for repeat in range(REPEATS):
        found = estimate(scores(images(rng, count)), BootstrapSamples(20, repeat, np.arange(count)))
        for name, one in found.items():
            inside[name] += one.low <= TRUE[name] <= one.high
    shares = {name: hits / REPEATS for name, hits in inside.items()}
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


def test_a_share_has_the_interval_of_wilson_and_a_width_even_where_all_are_right() -> None:
    right = np.ones(20)
    samples = BootstrapSamples(200, 0, np.arange(20))
    one = estimate(lambda weights: {"accuracy": mean_of(weights, right)}, samples)["accuracy"]
    theirs = stats.binomtest(20, 20).proportion_ci(0.95, "wilson")
    assert (one.low, one.high) == pytest.approx((theirs.low, theirs.high))
    assert one.low < 0.85


def test_an_undefined_number_has_no_interval() -> None:
    values = np.full(5, np.nan)
    one = estimate(lambda weights: {"mean": mean_of(weights, values)}, BootstrapSamples(50, 0, np.arange(5)))["mean"]
    assert np.isnan(one).all()
