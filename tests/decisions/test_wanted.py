"""Thresholds for a wanted value, against a loop over every threshold in float64."""

import numpy as np
import pytest
import torch

from tandem.decisions.asked import Asked, read_asked, read_source
from tandem.decisions.operating import UnreachedError, threshold_for
from tandem.decisions.wanted import Wanted, check_threshold, read_threshold, read_wanted, shown_threshold
from tandem.errors import ConfigError
from tandem.metrics import DiceSweep

GRID = [round(0.05 * step, 2) for step in range(1, 20)]


def swept(p: np.ndarray, y: np.ndarray) -> DiceSweep:
    sweep = DiceSweep(GRID, images=False)
    sweep.update(torch.from_numpy(p)[:, None], torch.from_numpy(y)[:, None])
    return sweep


def measures(p: np.ndarray, y: np.ndarray, threshold: float) -> dict[str, float]:
    with np.errstate(invalid="ignore"):
        yes = p >= np.float32(threshold)
        return {
            "sensitivity": float(np.float64((yes & (y == 1)).sum()) / (y == 1).sum()),
            "specificity": float(np.float64((~yes & (y == 0)).sum()) / (y == 0).sum()),
            "ppv": float(np.float64((yes & (y == 1)).sum()) / yes.sum()),
        }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("measure", "other"), [("sensitivity", "specificity"), ("specificity", "sensitivity"), ("ppv", "sensitivity")]
)
def test_it_reaches_the_wanted_value_and_loses_least(seed: int, measure: str, other: str) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 80)
    p = np.clip(rng.normal(0.35 + 0.3 * y, 0.2), 0, 1).astype(np.float32)
    for least in (0.5, 0.8, 0.9):
        of = {t: measures(p, y, t) for t in GRID}
        right = {t: of[t][other] for t in GRID if of[t][measure] >= least}
        sweep = swept(p, y).compute()
        if not right:
            with pytest.raises(UnreachedError, match="at most"):
                threshold_for(sweep, Wanted(measure, least))
            continue
        best = [t for t in right if right[t] == max(right.values())]
        nearest = min(best, key=lambda t: (round(abs(t - 0.5), 6), t))
        assert threshold_for(sweep, Wanted(measure, least)) == pytest.approx(nearest)


def test_what_cannot_be_reached_or_is_not_defined_is_one_line() -> None:
    p, y = np.array([0.9, 0.2, 0.6], np.float32), np.array([0, 1, 1])
    with pytest.raises(UnreachedError, match=r"^threshold=ppv:0\.9: lesion: ppv reaches 0.6667 at most; want less$"):
        threshold_for(swept(p, y).compute(), Wanted("ppv", 0.9), "lesion")
    with pytest.raises(UnreachedError, match="sensitivity is not defined"):
        threshold_for(swept(p, y * 0).compute(), Wanted("sensitivity", 0.9))


@pytest.mark.parametrize("text", ["sensitivity:.95", "recall:0.95", "sensitivity>=0.95", " sensitivity : 0.95 "])
def test_it_is_read_as_it_is_typed(text: str) -> None:
    assert read_wanted(text) == Wanted("sensitivity", 0.95)
    assert shown_threshold({"a": read_threshold(text), "b": 0.4}) == {"a": "sensitivity:0.95", "b": 0.4}


@pytest.mark.parametrize(
    "text", ["sensitivity:95", "dice:0.5", "sensitivity:0", "ppv:", "ppv:.", "ppv:1.2.3", 3, None, ["ppv:0.5"]]
)
def test_something_else_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match=r"is no wanted value: write threshold=sensitivity:0\.95"):
        read_wanted(text)


@pytest.mark.parametrize("value", [True, 0, 1.0, "0.5", "fit", None, {"a": 2}])
def test_a_threshold_is_a_number_inside_or_a_word(value: object) -> None:
    with pytest.raises(ConfigError, match="threshold is"):
        check_threshold(value)


def test_words_of_decide() -> None:
    assert read_asked("threshold") == Asked()
    assert read_asked(["temperature", "rankdice", "ppv:0.8"]) == Asked(True, False, True, Wanted("ppv", 0.8))
    assert read_asked("stored") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("rankdise", "did you mean 'rankdice'"), (["stored", "rankdice"], "stands alone"), ([], "needs one rule"),
        (["threshold", "rankdice"], "needs one rule"), (["ppv:0.8", "ppv:0.9"], "one wanted value"),
        (None, "decide is"), ("ppv:2", "no wanted value"),
    ],
)  # fmt: skip
def test_mistakes_are_named(value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_asked(value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_source("nowhere/decisions.json")
