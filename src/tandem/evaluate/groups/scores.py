"""Scores of each group with their intervals, and the gap between the best and the worst group."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate
from tandem.evaluate.external.difference import combined
from tandem.evaluate.findings import Score
from tandem.evaluate.groups.assign import Groups
from tandem.evaluate.groups.bands import MISSING
from tandem.metrics.catalogue import Quantity, describe
from tandem.utils.resampling import Statistic, spread

if TYPE_CHECKING:
    from tandem.evaluate.evaluators import Evaluator

FEW = 10
"""Groups of fewer images are marked, and left out of gaps."""

Scores = dict[str, dict[str, Score]]
"""By metric and group."""


def score_groups(
    groups: Groups, parts: Mapping[str, "Evaluator"], draws: BootstrapSamples, stored: Mapping[str, Quantity]
) -> dict[str, Any]:
    """Computes every score of every task in each group, for `metrics.json`.

    Args:
        groups: the groups of the images.
        parts: evaluators by task, with what they have collected.
        draws: bootstrap samples of all images.
        stored: quantities of the run, which say whether higher is better.

    Returns:
        `column`, `note`, `images` (by group), and `tasks`: `images`, `scores` (by metric and group: value, low and high
        end) and `gaps` (by metric: `best`, `worst`, and `gap` with its ends).
    """
    found: dict[str, Any] = {"column": groups.column, "note": groups.note, "few": FEW}
    found["images"] = {name: int((groups.of == name).sum()) for name in groups.names}
    found["tasks"] = {}
    for task, part in parts.items():
        statistic = None if part.undefined else part.measure()
        if statistic is None:
            continue
        of, drawn = groups.of[part.places], draws.of(part.places)
        members = {name: np.flatnonzero(of == name) for name in groups.names}
        members = {name: rows for name, rows in members.items() if len(rows)}
        scores = group_scores(statistic, members, drawn)
        known = [name for name, rows in members.items() if name != MISSING and len(rows) >= FEW]
        signs = {metric: describe(f"test/{task}/{metric}", stored).sign for metric in scores}
        found["tasks"][task] = {
            "images": {name: len(rows) for name, rows in members.items()},
            "scores": {metric: {name: list(score) for name, score in of.items()} for metric, of in scores.items()},
            "gaps": dict(gaps(statistic, scores, {name: members[name] for name in known}, drawn, signs)),
        }
    return found


def within(statistic: Statistic, rows: Array, count: int) -> Statistic:
    """A statistic of some of the images, as a function of their weights alone.

    Args:
        statistic: of all images.
        rows: indices of the images.
        count: number of all images.
    """

    def measure(weights: Array) -> Mapping[str, Array]:
        whole = np.zeros((len(weights), count))
        whole[:, rows] = weights
        with np.errstate(divide="ignore", invalid="ignore"):
            return statistic(whole)

    return measure


def group_scores(statistic: Statistic, members: Mapping[str, Any], draws: BootstrapSamples) -> Scores:
    """Scores of each group; its images, or its groups of them, are drawn within it.

    Args:
        statistic: of all images.
        members: indices of the images of each group.
        draws: bootstrap samples of all images.
    """
    count = len(draws.groups)
    of_group = {name: estimate(within(statistic, rows, count), draws.of(rows)) for name, rows in members.items()}
    metrics = next(iter(of_group.values()), {})
    return {metric: {name: found[metric] for name, found in of_group.items()} for metric in metrics}


def gaps(
    statistic: Statistic, scores: Scores, members: Mapping[str, Any], draws: BootstrapSamples, signs: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the gap of each metric between the groups with the best and the worst value.

    All images are drawn together, so that a patient with images in both groups counts in both. The pair is that of the
    observed values, in every sample.

    Args:
        statistic: of all images.
        scores: of `group_scores`.
        members: the groups that may be compared.
        draws: bootstrap samples of all images.
        signs: 1 if higher is better, -1 if lower is better, 0 if neither; such a metric has no gap.
    """
    pairs: dict[str, tuple[str, str]] = {}
    for metric, of_group in scores.items():
        known = {name: signs[metric] * of_group[name].value for name in members if not np.isnan(of_group[name].value)}
        if signs[metric] and len(known) > 1:
            pairs[metric] = (max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name]))
    drawn = _drawn(statistic, {name: members[name] for pair in pairs.values() for name in pair}, draws)
    for metric, (best, worst) in pairs.items():
        one, other = scores[metric][best], scores[metric][worst]
        low, high = map(float, spread(drawn[best][metric] - drawn[worst][metric], _units(members, best, worst, draws)))
        if low == high:
            low, high = combined(one, other)
        yield metric, {"best": best, "worst": worst, "gap": [one.value - other.value, low, high]}


def _units(members: Mapping[str, Any], best: str, worst: str, draws: BootstrapSamples) -> int:
    return min(draws.of(members[name]).units for name in (best, worst))


def _drawn(statistic: Statistic, members: Mapping[str, Any], draws: BootstrapSamples) -> dict[str, dict[str, Array]]:
    """(R,) values of each group and metric; nan in a sample without images of the group."""
    count = len(draws.groups)
    parts: dict[str, list[Mapping[str, Array]]] = {name: [] for name in members}
    for weights in draws.weights() if members else ():
        for name, rows in members.items():
            found = within(statistic, rows, count)(weights[:, rows])
            empty = weights[:, rows].sum(1) == 0
            parts[name].append({key: np.where(empty, np.nan, values) for key, values in found.items()})
    return {
        name: {key: np.concatenate([one[key] for one in drawn]) for key in drawn[0]} for name, drawn in parts.items()
    }


def ordered(metrics: Sequence[str], task: str, stored: Mapping[str, Quantity]) -> list[str]:
    """Metrics without those of single classes, in the order of tables."""
    whole = [metric for metric in metrics if "/" not in metric]
    return sorted(whole, key=lambda metric: describe(f"test/{task}/{metric}", stored).order)
