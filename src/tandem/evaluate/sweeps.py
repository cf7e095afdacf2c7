"""A number against threshold, with its interval, and what a threshold is worth on images that did not choose it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.metrics import SweepResult
from tandem.metrics.counts import Counts
from tandem.utils.resampling import spread

MOST = 300
"""Samples of a band: each costs a whole curve, and its ends are not printed."""

REPEATS = 100
"""Of the nested estimate."""

CHUNK = 1 << 23
"""Numbers that one part of the samples may take."""


def bands(
    result: SweepResult, names: Sequence[str], draws: BootstrapSamples, **changes: Any
) -> dict[str, list[float | None]]:
    """Lines against `thresholds`: `<name>`, and `<name>.low` and `<name>.high` of its 95 % bootstrap interval.

    Args:
        result: of one question, with images apart.
        names: of the numbers, as `SweepResult.measure` takes them.
        draws: of the bootstrap; at most `MOST` are drawn.
        changes: to the objective, such as `aggregate="per_image"`.
    """
    objective = result.by(**changes).objective
    images, _, thresholds = result.counts.tp.shape
    lines: dict[str, Any] = {"thresholds": [round(value, 6) for value in result.thresholds.tolist()]}
    drawn: dict[str, list[Tensor]] = {name: [] for name in names}
    for weights in draws.at_most(MOST).weights():
        for part in torch.split(torch.from_numpy(weights), max(1, CHUNK // (images + thresholds))):
            for name in names:
                drawn[name].append(objective.measure(name, result.counts, part)[:, 0])
    for name in names:
        low, high = torch.from_numpy(spread(torch.cat(drawn[name]).numpy(), draws.units))
        middle = objective.measure(name, result.counts)[0]
        lines |= {key: _plain(line) for key, line in ((name, middle), (f"{name}.low", low), (f"{name}.high", high))}
    return lines


def _plain(line: Tensor) -> list[float | None]:
    return [None if np.isnan(value) else round(value, 6) for value in line.tolist()]


def threshold_optimism(result: SweepResult, grid: Tensor, draws: BootstrapSamples) -> dict[str, Any]:
    """What the best threshold on a grid is worth on images that did not choose it.

    Args:
        result: of one question, with images apart.
        grid: thresholds that may be chosen.
        draws: of the bootstrap; its seed and groups are those of both estimates.

    Returns:
        `threshold` (best on all images) and `score` (the objective there), `nested` (mean score on the half that did
        not choose), its `spread`, `thresholds` (2.5 % and 97.5 % of those that halves choose), `optimism` (by the
        bootstrap). Empty for fewer than two images or groups.
    """
    kept = torch.isin(result.thresholds, grid)
    counts = result.counts
    chosen = SweepResult(
        result.thresholds[kept],
        Counts(counts.tp[..., kept], counts.fp[..., kept], counts.positives, counts.negatives),
        result.objective,
    )
    names, numbers = np.unique(draws.groups, return_inverse=True)
    if len(names) < 2:
        return {}
    groups = torch.from_numpy(numbers)
    halves = chosen.nested(REPEATS, draws.seed, groups)
    interval = chosen.bootstrap(draws.samples, seed=draws.seed, groups=groups)
    return {
        "objective": result.objective.goal,
        "aggregate": result.objective.aggregate,
        "threshold": round(float(chosen.threshold), 6),
        "score": float(chosen.score),
        "nested": float(halves.score),
        "spread": float(halves.spread),
        "thresholds": [round(value, 6) for value in halves.threshold.tolist()],
        "optimism": float(interval.optimism),
    }
