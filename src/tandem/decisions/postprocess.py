"""Chooses post-processing on validation data: each step is kept only where it helps, as nnU-Net does."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tandem.data.batch import MISSING_PIXEL
from tandem.decisions.steps import STEPS, TOUCHING, Mask, Step, kept, processed
from tandem.metrics.counts import Counts
from tandem.metrics.objective import Objective

SHARES = (0.0005, 0.001, 0.002, 0.005, 0.01)
"""Smallest areas that are tried, as shares of the image."""

OPTIONS = {
    "holes": ((), (Step("holes"),)),
    "smallest": ((), *((Step("smallest", share),) for share in SHARES)),
    "largest": ((), (Step("largest"),)),
}
"""What is tried for each step; the first is to leave it out."""

CHAINS: tuple[tuple[Step, ...], ...] = tuple(
    tuple(step for one in parts for step in one) for parts in product(*(OPTIONS[name] for name in STEPS))
)
"""All combinations of steps."""

LEAST = 1e-9
"""A step must raise the objective by more than rounding."""


class StepCounts:
    """Counts, for each image and each combination of steps, what the objective needs.

    Args:
        objective: that of the run's threshold; post-processing is chosen for the same.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.counted: list[npt.NDArray[np.int64]] = []

    @property
    def images(self) -> int:
        """Number of images so far."""
        return len(self.counted)

    def see(self, mask: Mask, target: npt.NDArray[np.integer]) -> None:
        """Adds an image.

        Args:
            mask: (H, W) before post-processing.
            target: (H, W) with 0, 1 and 255 (unlabelled, which is not counted).
        """
        known, true = target != MISSING_PIXEL, target == 1
        found = {chain: part for holes in OPTIONS["holes"] for chain, part in _counts(mask, known, true, holes).items()}
        rows = [
            [hits, drawn - hits, int(true.sum()), int((known & ~true).sum())]
            for hits, drawn in (found[c] for c in CHAINS)
        ]
        self.counted.append(np.array(rows))

    def scores(self) -> list[float]:
        """The objective with each of `CHAINS`; nan where it is not defined."""
        tp, fp, positives, negatives = torch.from_numpy(np.stack(self.counted)).unbind(-1)  # each (M, chains)
        counts = Counts(tp[:, None], fp[:, None], positives[:, None, :1], negatives[:, None, :1])
        scored: Tensor = self.objective.rank(counts)
        return [float(value) for value in scored[0]]

    def best(self) -> tuple[tuple[Step, ...], float]:
        """The steps that help, tried one after the other, and by how much they raise the objective together.

        A step is kept where the objective is strictly higher with it. Nothing is kept without an image, or where the
        objective is not defined.

        Source: Isensee et al., nnU-Net, Nature Methods 18, 2021 (post-processing is chosen on validation data).
        """
        if not self.counted:
            return (), 0.0
        score_of = dict(zip(CHAINS, self.scores(), strict=True))
        chosen: tuple[Step, ...] = ()
        for name in STEPS:
            tried: Sequence[tuple[Step, ...]] = [(*chosen, *option) for option in OPTIONS[name]]
            best = max(tried, key=lambda chain: score_of[chain])
            chosen = best if score_of[best] > score_of[chosen] + LEAST else chosen
        gain = score_of[chosen] - score_of[()]
        return chosen, gain if chosen else 0.0


def _counts(mask: Mask, known: Mask, true: Mask, first: tuple[Step, ...]) -> dict[tuple[Step, ...], tuple[int, int]]:
    """Pixels that are right, and pixels, of a mask after each combination that begins with `first`."""
    from scipy import ndimage

    pieces, count = ndimage.label(processed(mask, first), TOUCHING)
    flat = pieces.ravel()
    sizes, drawn, hits = (
        np.bincount(flat, part, count + 1).astype(np.int64) for part in (None, known.ravel(), true.ravel())
    )
    found = {}
    for smallest, largest in product(OPTIONS["smallest"], OPTIONS["largest"]):
        left = sizes.copy()
        left[0] = 0
        for step in (*smallest, *largest):
            left[~kept(left, mask.size, step)] = 0
        found[(*first, *smallest, *largest)] = int(hits[left > 0].sum()), int(drawn[left > 0].sum())
    return found
