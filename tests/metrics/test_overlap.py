"""The formula of Dice against another library, for each kind of number."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tandem.metrics.overlap import dice_parts


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_dice_is_the_f1_of_scikit_learn(pixels: list[tuple[bool, bool]]) -> None:
    predicted, actual = np.array(pixels).T
    expected = f1_score(actual, predicted, zero_division=0)
    counts = [(predicted & actual).sum(), predicted.sum(), actual.sum()]
    for kind in (int, np.float64, torch.tensor):
        part, whole = dice_parts(*(kind(count) for count in counts))
        assert float(part) / max(float(whole), 1) == expected
