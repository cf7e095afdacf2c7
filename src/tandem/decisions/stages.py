"""From probabilities of pixels to masks, stage by stage."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tandem.decisions.rankdice import rankdice, rankdice_classes
from tandem.decisions.reached import reached
from tandem.decisions.steps import processed

if TYPE_CHECKING:
    from tandem.decisions.decision import Decision

THRESHOLD, RANKDICE, PROCESSED = "at the given threshold", "rankdice", "post-processed"
"""Names of the stages, as tables show them."""


def stages(probabilities: Tensor, threshold: Tensor, decision: "Decision") -> dict[str, Tensor]:
    """Makes the masks of each stage of a decision, by name of the stage; the last one is the answer.

    Args:
        probabilities: (N, C, H, W) in [0, 1].
        threshold: (C,), a probability at or above it counts as yes.
        decision: of the task.

    Returns:
        (N, C, H, W) bool for each stage.
    """
    found = {THRESHOLD: reached(probabilities, threshold)}
    if decision.rule == "rankdice":
        found[RANKDICE] = rankdice(probabilities, threshold)
    if decision.steps:
        before = list(found.values())[-1]
        masks = before.cpu().numpy().copy()
        for image in masks:
            for channel, steps in enumerate(decision.steps):
                image[channel] = processed(image[channel], steps)
        found[PROCESSED] = torch.from_numpy(np.ascontiguousarray(masks)).to(before.device)
    return found


def decided(probabilities: Tensor, threshold: Tensor, decision: "Decision") -> Tensor:
    """Makes the masks of a decision, (N, C, H, W) bool; arguments as of `stages`."""
    return list(stages(probabilities, threshold, decision).values())[-1]


def decided_classes(probabilities: Tensor, decision: "Decision") -> Tensor:
    """Gives each pixel its class: the most probable one, unless the decision is `rankdice`.

    Args:
        probabilities: (N, C, H, W), which sum to 1 over the classes.
        decision: of the task.

    Returns:
        (N, H, W) int64.
    """
    return rankdice_classes(probabilities) if decision.rule == "rankdice" else probabilities.argmax(1)
