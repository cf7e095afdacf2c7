"""Metrics against threshold with intervals, and a nested estimate of the score at the best threshold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tandem.evaluate.bootstrap import BootstrapSamples
from tandem.metrics import SweepResult
from tandem.metrics.counts import Counts
from tandem.utils.resampling import percentiles

MOST = 300
"""Maximum number of bootstrap samples of a band; each costs a whole curve, and bands are only drawn."""

REPEATS = 100
"""Random halves of the nested estimate."""

CHUNK = 1 << 23
"""Maximum number of values held for one chunk of bootstrap samples."""


def bands(
    result: SweepResult, names: Sequence[str], draws: BootstrapSamples, **changes: Any
) -> dict[str, list[float | None]]:
    """Computes lines against `thresholds`: `<name>`, and the ends `<name>.low`, `<name>.high` of its 95 % interval.

    Args:
        result: the sweep of one channel, with separate counts for each image.
        names: names of metrics, as `SweepResult.measure` takes them.
        draws: bootstrap samples; at most `MOST` are used.
        changes: changes to the objective, such as `aggregate="per_image"`.
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
        low, high = torch.from_numpy(percentiles(torch.cat(drawn[name]).numpy()))
        middle = objective.measure(name, result.counts)[0]
        lines |= {key: _plain(line) for key, line in ((name, middle), (f"{name}.low", low), (f"{name}.high", high))}
    return lines


def _plain(line: Tensor) -> list[float | None]:
    return [None if np.isnan(value) else round(value, 6) for value in line.tolist()]


def threshold_optimism(result: SweepResult, grid: Tensor, draws: BootstrapSamples) -> dict[str, Any]:
    """Estimates how optimistic the score at the best threshold is on the images that chose it.

    Args:
        result: the sweep of one channel, with separate counts for each image.
        grid: thresholds that may be chosen.
        draws: bootstrap samples; both estimates use their seed and groups.

    Returns:
        `threshold` (best on all images) and `score` (the objective there); `nested` (the threshold is chosen on one
        random half and scored on the other; mean over the halves) and its standard deviation `spread`; `thresholds`
        (2.5 and 97.5 percentiles of the chosen thresholds); `optimism` (bootstrap estimate). Empty for fewer than two
        groups.
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
