"""Temperature scaling: one number that makes probabilities as sure as they are right."""

import logging
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tandem.decisions.decision import COOLEST, HOTTEST

log = logging.getLogger(__name__)


def fit_temperature(logits: Tensor, target: Tensor, exclusive: bool) -> float:
    r"""Finds the temperature T with the lowest mean negative log-likelihood of \(z / T\).

    The likelihood is convex in 1 / T, so a bounded search over log T finds the one minimum.

    Args:
        logits: (M,) of yes/no questions, or (M, C) of C classes.
        target: (M,) 0 or 1, or the class; all known.
        exclusive: whether one of C classes is true.

    Returns:
        T in [0.05, 20]; nan if it lies at an end, as for data that are separated perfectly, or if there are no data.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    from scipy.optimize import minimize_scalar

    if not len(target):
        return math.nan
    z, y = logits.double(), target.long() if exclusive else target.double()

    def loss(log_t: float) -> float:
        scaled = z / math.exp(log_t)
        return float(F.cross_entropy(scaled, y) if exclusive else F.binary_cross_entropy_with_logits(scaled, y))

    ends = math.log(COOLEST), math.log(HOTTEST)
    best = float(minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-5}).x)
    return math.nan if min(best - ends[0], ends[1] - best) < 0.01 else math.exp(best)


def mapped(threshold: Tensor, temperature: float) -> Tensor:
    r"""The threshold of tempered probabilities that decides as `threshold` did: \(\sigma(\mathrm{logit}(t) / T)\).

    Example:
        >>> mapped(torch.tensor([0.5, 0.8]), 2.0)
        tensor([0.5000, 0.6667])
    """
    return torch.sigmoid(torch.logit(threshold.double()) / temperature).to(threshold.dtype)
