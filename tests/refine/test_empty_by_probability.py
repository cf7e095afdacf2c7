"""The cut is the best one on validation data, and class and mask agree after it, whatever they were."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.config.instantiate import build
from tandem.errors import ConfigError, DataError
from tandem.refine import Consistency, EmptyByProbability, Overlaps, Predicted, Refinement

CLASSES = ("benign", "normal", "malignant")


def predicted(p: np.ndarray, empty: list[bool]) -> Predicted:
    return Predicted(np.array(CLASSES)[p.argmax(1)], p, CLASSES, np.array(empty))


def with_normal(values: list[float]) -> np.ndarray:
    """(M, 3) probabilities in which "normal" has the given ones, and "malignant" is the more probable of the others."""
    normal = np.array(values)
    return np.stack([(1 - normal) / 3, normal, 2 * (1 - normal) / 3], 1)


ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.7, 0.95]), st.booleans(), st.sampled_from([0.0, 0.3, 0.9])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_no_cut_is_better_on_validation_data(rows: list[tuple[float, bool, float]]) -> None:
    p = with_normal([normal for normal, *_ in rows])
    lesion, kept = np.array([has for _, has, _ in rows]), np.array([dice for *_, dice in rows])
    fitted = EmptyByProbability().fit(predicted(p, [False] * len(rows)), Overlaps(kept, lesion))

    def mean(cut: float) -> float:
        each = [(not has) if normal >= cut else dice for (normal, has, dice) in rows]
        return float(np.mean(each))

    assert fitted.cut is not None
    assert not fitted.fitted
    scores = {cut: mean(cut) for cut in (0.05, 0.1, 0.3, 0.5, 0.6, 0.9, 1.5)}
    assert mean(fitted.cut) >= max(scores.values()) - 1e-12
    if fitted.cut > 1:
        assert all(mean(cut) < mean(fitted.cut) for cut in (0.1, 0.3, 0.55, 0.85) if cut <= max(p[:, 1]))


@settings(max_examples=40, deadline=None)
@given(ROWS, st.sampled_from([0.1, 0.4, 0.5, 1.5]))
def test_class_and_mask_agree_as_rows_and_as_tensors(rows: list[tuple[float, bool, float]], cut: float) -> None:
    p, empty = with_normal([normal for normal, *_ in rows]), [is_empty for _, is_empty, _ in rows]
    rule = EmptyByProbability(cut=cut)
    names, emptied = rule.apply(predicted(p, empty))
    for name, gone, normal, was in zip(names, emptied, p[:, 1], empty, strict=True):
        assert (name == "normal") == (normal >= cut or was)
        assert gone == (normal >= cut and not was)
        assert name in ("normal", "malignant"), "the more probable lesion"
    masks = torch.tensor([[0.2, 0.1 if is_empty else 0.7] for is_empty in empty]).view(-1, 1, 1, 2)
    answer, drawn = rule(torch.from_numpy(p), masks, 0.5, CLASSES)
    assert [CLASSES[place] for place in answer.tolist()] == names.tolist()
    assert drawn.flatten(1).any(1).tolist() == (~np.array(empty) & ~emptied).tolist()


def test_the_rules_as_rows_of_the_same_images() -> None:
    p = np.array([[0.3, 0.6, 0.1], [0.2, 0.1, 0.7], [0.5, 0.4, 0.1]])
    rows = predicted(p, [False, True, False])
    names, emptied = Consistency().apply(rows)
    assert (names.tolist(), emptied.tolist()) == (["normal", "normal", "benign"], [True, False, False])
    names, emptied = EmptyByProbability(cut=0.4).apply(rows)
    assert (names.tolist(), emptied.tolist()) == (["normal", "normal", "normal"], [True, False, True])
    names, emptied = EmptyByProbability(cut=0.8).apply(rows)
    assert (names.tolist(), emptied.tolist()) == (["benign", "normal", "benign"], [False, False, False])


def test_a_yaml_makes_it_and_what_cannot_be_is_refused() -> None:
    rule: Refinement = build({"_target_": "tandem.refine.EmptyByProbability"}, "paper.refinements.probability")
    rows = predicted(with_normal([0.3]), [False])
    assert rule.fitted
    with pytest.raises(ConfigError, match=r"refine\.cut is null: choose it by fit on validation data"):
        rule.apply(rows)
    with pytest.raises(ConfigError, match=r"there is no validation image; set refine\.cut"):
        rule.fit(predicted(np.zeros((0, 3)), []), Overlaps(np.zeros(0), np.zeros(0, bool)))
    with pytest.raises(DataError, match="refine needs the probabilities of the classes, which this run does not have"):
        EmptyByProbability(cut=0.5).apply(Predicted(rows.answer, None, (), rows.empty))
    with pytest.raises(ConfigError, match=r"refine\.normal is 'norml', but must be a class: did you mean 'normal'"):
        EmptyByProbability("norml", 0.5).apply(rows)
    for cut in (0, -0.1, True, "a"):
        with pytest.raises(ConfigError, match=r"refine\.cut is .* but must be a number above 0, or null"):
            EmptyByProbability(cut=cut)  # type: ignore[arg-type]
