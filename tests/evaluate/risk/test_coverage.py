"""The areas under risk-coverage curves, against loops over all orders of tied images."""

from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest

from tandem.evaluate.bootstrap import Array, BootstrapSamples
from tandem.evaluate.evaluators.channel import scored_dice
from tandem.evaluate.findings import Findings
from tandem.evaluate.risk import Risk, add_risks
from tandem.evaluate.risk.confidence import answer_confidence, mask_confidence
from tandem.evaluate.risk.coverage import RiskCoverage


def by_loop(confidence: Array, loss: Array) -> tuple[float, float]:
    """AURC and AUGRC in the mean over all orders that do not contradict the confidence."""
    aurc, augrc, n = [], [], len(loss)
    for order in permutations(range(n)):
        if any(confidence[one] < confidence[other] for one, other in pairwise(order)):
            continue
        total, risks, left = 0.0, [], []
        for k, row in enumerate(order, start=1):
            total += float(loss[row])
            risks.append(total / k)
            left.append(total / n)
        aurc.append(sum(risks) / n)
        augrc.append(sum(left) / n)
    return float(np.mean(aurc)), float(np.mean(augrc))


@pytest.mark.parametrize("seed", range(6))
def test_areas_are_those_of_a_loop_over_all_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, 3, 6) / 3 if seed % 2 else rng.random(6)
    loss = rng.random(6) if seed < 3 else (rng.random(6) < 0.4).astype(float)
    found = {key: float(value[0]) for key, value in RiskCoverage(confidence, loss)(np.ones((1, 6))).items()}
    aurc, augrc = by_loop(confidence, loss)
    best, _ = by_loop(-loss, loss)
    assert found == pytest.approx({"aurc": aurc, "e_aurc": aurc - best, "augrc": augrc}, abs=1e-12)


def test_an_image_that_is_drawn_twice_counts_as_two_tied_ones() -> None:
    rng = np.random.default_rng(7)
    confidence, loss = rng.integers(0, 2, 4) / 2, rng.random(4)
    weights = np.array([2.0, 0.0, 1.0, 3.0])
    rows = np.repeat(np.arange(4), weights.astype(int))
    found = RiskCoverage(confidence, loss)(weights[None])
    aurc, augrc = by_loop(confidence[rows], loss[rows])
    assert (found["aurc"][0], found["augrc"][0]) == pytest.approx((aurc, augrc), abs=1e-12)


def test_risk_at_a_coverage_is_that_of_the_most_confident() -> None:
    curve = RiskCoverage(np.array([0.9, 0.5, 0.5, 0.1]), np.array([0.0, 1.0, 0.0, 1.0]))
    every = np.ones((1, 4))
    assert curve.risk_at(every, [0.25, 0.5, 0.75, 1.0])[0].tolist() == pytest.approx([0, 0.25, 1 / 3, 0.5])
    assert curve.risk_at(every, [0.5, 1.0], oracle=True)[0].tolist() == [0, 0.5]


def test_a_perfect_order_has_no_excess_and_confidence_without_meaning_has_the_mean_risk() -> None:
    loss = np.array([0.0, 0.2, 0.7, 1.0])
    every = np.ones((1, 4))
    assert RiskCoverage(-loss, loss)(every)["e_aurc"][0] == pytest.approx(0, abs=1e-12)
    assert RiskCoverage(np.ones(4), loss)(every)["aurc"][0] == pytest.approx(loss.mean())


def test_confidence_of_answers_and_masks() -> None:
    assert answer_confidence(np.array([0.3, 0.3 - 1e-9, 0.65, 0.0, 1.0]), 0.3) == pytest.approx(
        [0, 0, 0.5, 1, 1], abs=1e-6
    )
    p = np.array([0.9, 0.8, 0.3, 0.05])
    drawn = p >= 0.5
    expected = 2 * sum(p[drawn].tolist()) / (sum(p.tolist()) + 2)
    assert mask_confidence(p, drawn, "skip") == pytest.approx(expected)
    rng = np.random.default_rng(0)
    q = rng.random(400)
    masks = rng.random((4000, 400)) < q
    dice = 2 * (masks & (q >= 0.5)).sum(1) / (masks.sum(1) + (q >= 0.5).sum())
    assert mask_confidence(q, q >= 0.5, "skip") == pytest.approx(dice.mean(), abs=2e-3), "the expected Dice"
    nothing = np.zeros(4, dtype=bool)
    assert (mask_confidence(p, nothing, "skip"), mask_confidence(p, nothing, "score")) == pytest.approx((0, 0.1))


def test_images_without_lesion_count_as_the_run_says() -> None:
    counts = np.zeros((4, 9), dtype=np.int64)
    counts[:, :4] = [[9, 4, 4, 2], [9, 0, 0, 0], [9, 0, 3, 0], [0, 0, 0, 0]]
    assert scored_dice(counts, "skip") == pytest.approx([0.5, np.nan, np.nan, np.nan], nan_ok=True)
    assert scored_dice(counts, "score") == pytest.approx([0.5, 1, 0, np.nan], nan_ok=True)


@pytest.fixture
def found() -> Findings:
    """Of 40 images, the 8 least certain are wrong; one has no loss."""
    confidence = np.linspace(0, 1, 41)
    loss = (np.arange(41) < 8).astype(float)
    loss[40] = np.nan
    draws = BootstrapSamples(200, 0, np.arange(41))
    return add_risks(Findings({}), [Risk("", confidence, loss, "accuracy", "the largest probability")], draws)


def test_the_answer_is_a_sentence_a_table_and_a_figure(found: Findings) -> None:
    assert found.scores["e_aurc"].value == pytest.approx(0, abs=1e-12)
    assert found.scores["aurc"].low <= found.scores["aurc"].value <= found.scores["aurc"].high
    (table,), (drawn,) = found.tables, found.drawings
    said = "Handing over the least certain 20 % raises the accuracy of the others from 0.800 to 1.000 (difference +0.2"
    assert said in table.note
    assert said in drawn.caption
    rows: dict[Any, Any] = {row[0]: row[1:] for row in table.rows}
    assert rows["0 %"][0] == 40
    assert rows["20 %"][0] == 32
    assert rows["10 %"][1].value == pytest.approx(32 / 36)
    lines = found.lines["risk_coverage"]
    assert lines["quality"] == pytest.approx(lines["oracle"])
    assert lines["all"] == 0.8


def test_one_image_has_no_curve() -> None:
    draws = BootstrapSamples(20, 0, np.arange(1))
    assert add_risks(Findings({}), [Risk("", np.ones(1), np.ones(1), "a", "b")], draws) == Findings({})


def test_a_gain_that_may_be_none_is_said_to_be_so() -> None:
    rng = np.random.default_rng(3)
    draws = BootstrapSamples(100, 0, np.arange(30))
    risk = Risk("q", rng.random(30), (rng.random(30) < 0.5).astype(float), "accuracy", "nothing")
    found = add_risks(Findings({}), [risk], draws)
    assert "which includes no change)." in found.tables[0].note
    assert found.tables[0].title.startswith("q: ")
    assert set(found.scores) == {"q/aurc", "q/e_aurc", "q/augrc"}
    right = add_risks(Findings({}), [risk._replace(loss=np.zeros(30))], draws)
    assert "leaves the accuracy of the others at 1.000" in right.tables[0].note
