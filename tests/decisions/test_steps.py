"""Post-processing against a flood fill pixel by pixel, and its choice against a loop over all combinations."""

import numpy as np
import pytest

from tandem.decisions.postprocess import CHAINS, SHARES, StepCounts
from tandem.decisions.steps import Mask, Step, processed
from tandem.metrics.objective import Objective

EIGHT = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
FOUR = [(0, 1), (1, 0), (0, -1), (-1, 0)]


def regions(mask: Mask, around: list[tuple[int, int]]) -> list[set[tuple[int, int]]]:
    """Connected regions of the pixels that are true, in the order of their first pixel."""
    left = {(int(r), int(c)) for r, c in zip(*mask.nonzero(), strict=True)}
    found = []
    for start in sorted(left):
        if start not in left:
            continue
        region, edge = set(), [start]
        while edge:
            here = edge.pop()
            if here in left:
                left.remove(here)
                region.add(here)
                edge += [(here[0] + a, here[1] + b) for a, b in around]
        found.append(region)
    return found


def slowly(mask: Mask, steps: tuple[Step, ...]) -> Mask:
    for step in steps:
        if step.name == "holes":
            height, width = mask.shape
            mask = mask.copy()
            for region in regions(~mask, FOUR):
                if not any(r in (0, height - 1) or c in (0, width - 1) for r, c in region):
                    for place in region:
                        mask[place] = True
            continue
        pieces = regions(mask, EIGHT)
        if step.name == "smallest":
            pieces = [piece for piece in pieces if len(piece) >= step.share * mask.size]
        else:
            pieces = sorted(pieces, key=len, reverse=True)[:1]
        mask = np.zeros_like(mask)
        for place in (place for piece in pieces for place in piece):
            mask[place] = True
    return mask


@pytest.mark.parametrize("seed", range(8))
def test_every_combination_is_that_of_a_flood_fill(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((12, 15)) < rng.uniform(0.2, 0.8)
    for chain in [*CHAINS, (Step("smallest", 0.05), Step("holes"))]:
        np.testing.assert_array_equal(processed(mask, chain), slowly(mask, chain), err_msg=str(chain))


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.ones((4, 4), bool), np.eye(1, dtype=bool)])
def test_empty_full_and_tiny_masks(mask: Mask) -> None:
    for chain in CHAINS:
        np.testing.assert_array_equal(processed(mask, chain), mask)


@pytest.mark.parametrize(
    "goal", [Objective(), Objective(aggregate="per_image"), Objective(aggregate="per_image", empty="score")]
)
def test_the_chosen_steps_have_the_scores_of_masks_made_one_by_one(goal: Objective) -> None:
    rng = np.random.default_rng(1)
    counts, masks, truths = StepCounts(goal), [], []
    for number in range(6):
        truth = np.zeros((20, 20), np.int64)
        if number:
            truth[4:12, 4:12] = 1
        mask = (truth == 1) ^ (rng.random(truth.shape) < 0.06)
        truth[:2] = 255
        counts.see(mask, truth)
        masks.append(mask)
        truths.append(truth)

    def score(chain: tuple[Step, ...]) -> float:
        parts = []
        for mask, truth in zip(masks, truths, strict=True):
            drawn, true = slowly(mask, chain) & (truth != 255), truth == 1
            parts.append(
                (2.0 * (drawn & true).sum(), float(drawn.sum() + true.sum()), bool(true.any()), bool(drawn.any()))
            )
        if goal.aggregate == "global":
            return float(sum(part for part, *_ in parts) / sum(both for _, both, *_ in parts))
        scores = [
            part / both if some else float(not drawn)
            for part, both, some, drawn in parts
            if some or goal.empty == "score"
        ]
        return float(np.mean(scores))

    np.testing.assert_allclose(counts.scores(), [score(chain) for chain in CHAINS], atol=1e-9)
    chosen, gain = counts.best()
    assert gain > 0
    assert gain == pytest.approx(score(chosen) - score(()))
    steps = [("holes",), *(("smallest", share) for share in SHARES), ("largest",)]
    assert all((step.name, step.share) in steps or (step.name,) in steps for step in chosen)
    for step in chosen:  # each helps where it was added
        before = chosen[: chosen.index(step)]
        assert score((*before, step)) > score(before)


def test_what_does_not_help_is_left_out() -> None:
    counts = StepCounts(Objective())
    truth = np.zeros((20, 20), np.int64)
    truth[2:5, 2:5] = truth[10:15, 10:15] = 1
    truth[12, 12] = 0
    counts.see(truth == 1, truth)  # two lesions, one with a hole, all found
    assert counts.best() == ((), 0.0)
    assert StepCounts(Objective()).best() == ((), 0.0)
