"""The risk-coverage curve of a task: areas with intervals, a table, a figure, and the answer in a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tandem.evaluate.bootstrap import Array, BootstrapSamples, estimate
from tandem.evaluate.findings import Drawing, Findings, Score, ScoreTable
from tandem.evaluate.risk.coverage import RiskCoverage
from tandem.evaluate.risk.figure import risk_figure
from tandem.reports.table import format_value
from tandem.utils.resampling import spread

HANDED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of images that are handed over, in the table."""

SENTENCE = 0.2
"""That of the sentence."""

GRID = tuple(np.linspace(0.02, 1.0, 50).tolist())
"""Coverages of the curve."""

MOST = 300
"""Bootstrap samples of the band."""

DRAWN = 8
"""Maximum number of questions with a table and a figure."""

NOTE = (
    "With 95 % bootstrap intervals over {over}. Images of equal confidence are in no order: numbers are expectations "
    "over all orders. AURC (Geifman and El-Yaniv, 2017): mean risk, 1 minus quality, over all coverages; excess AURC: "
    "above that of an oracle that knows the errors; AUGRC (Traub et al., 2024): mean share of errors that are kept. Of "
    "all three, lower is better."
)


class Risk(NamedTuple):
    """What a risk-coverage curve is computed from.

    Attributes:
        name: the question or channel; empty if the task has one.
        confidence: (M,) certainty about each image with a target.
        loss: (M,) in [0, 1]; nan: the image does not count.
        quality: what 1 minus the mean loss is, such as `accuracy`.
        measured: what confidence is, in words.
    """

    name: str
    confidence: Array
    loss: Array
    quality: str
    measured: str


def add_risks(found: Findings, risks: Iterable[Risk], draws: BootstrapSamples) -> Findings:
    """Adds areas with intervals, a table, a figure and its data to the results of a task.

    Args:
        found: the results.
        risks: one for each question or channel; those of fewer than two images are left out.
        draws: bootstrap samples of the images with a target.
    """
    for place, risk in enumerate(risks):
        known = np.flatnonzero(~np.isnan(risk.loss))
        if len(known) < 2:
            continue
        curve, drawn = RiskCoverage(risk.confidence[known], risk.loss[known]), draws.of(known)
        prefix = f"{risk.name}/" if risk.name else ""
        found.scores.update({f"{prefix}{key}": score for key, score in estimate(curve, drawn).items()})
        lines = _lines(curve, drawn)
        found.lines[f"{prefix}risk_coverage"] = lines
        if place < DRAWN:
            _show(found, risk, curve, drawn, lines)
    return found


def _show(found: Findings, risk: Risk, curve: RiskCoverage, draws: BootstrapSamples, lines: Mapping[str, Any]) -> None:
    """Adds the table and the figure."""
    kept = estimate(lambda weights: _kept(curve, weights), draws)
    prefix = f"{risk.name}: " if risk.name else ""
    said = _sentence(kept, risk.quality)
    count = len(draws.groups)
    rows: list[list[str | int | float | Score]] = [
        [f"{100 * handed:g} %", round((1 - handed) * count), kept[str(handed)]] for handed in HANDED
    ]
    note = f"{said} Confidence: {risk.measured}. {NOTE.format(over=draws.over)}"
    title = f"{prefix}When the least certain images go to a person"
    found.tables.append(ScoreTable(title, ["handed over", "images kept", risk.quality], rows, note))
    found.drawings.append(Drawing(risk_figure(lines, risk.quality), f"{prefix}Risk and coverage. {said}"))


def _kept(curve: RiskCoverage, weights: Array) -> dict[str, Array]:
    """(R,) quality of the kept images by the share that is handed over, and the gain at `SENTENCE`."""
    risk = curve.risk_at(weights, [1 - handed for handed in HANDED])
    found = {str(handed): 1 - risk[:, place] for place, handed in enumerate(HANDED)}
    return found | {"gain": found[str(SENTENCE)] - found[str(HANDED[0])]}


def _sentence(kept: dict[str, Score], quality: str) -> str:
    before, after, gain = kept[str(HANDED[0])], kept[str(SENTENCE)], kept["gain"]
    ends = f"[{_signed(gain.low)}, {_signed(gain.high)}]"
    start = f"Handing over the least certain {SENTENCE:.0%}".replace("%", " %")
    if gain.value == 0:
        return f"{start} leaves the {quality} of the others at {format_value(before.value)} (difference {ends})."
    verb = "raises" if gain.value > 0 else "lowers"
    doubt = ", which includes no change" if gain.low <= 0 <= gain.high else ""
    change = f"from {format_value(before.value)} to {format_value(after.value)}"
    return f"{start} {verb} the {quality} of the others {change} (difference {_signed(gain.value)} {ends}{doubt})."


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{format_value(value)}"


def _lines(curve: RiskCoverage, draws: BootstrapSamples) -> dict[str, Any]:
    """`coverage`, `quality` with its ends, `oracle`, and `all`, the quality of all images."""
    every = np.ones((1, len(curve.loss)))
    drawn = [1 - curve.risk_at(weights, GRID) for weights in draws.at_most(MOST).weights()]
    low, high = spread(np.concatenate(drawn), draws.units)
    found = {
        "coverage": np.array(GRID),
        "quality": 1 - curve.risk_at(every, GRID)[0],
        "quality.low": low,
        "quality.high": high,
        "oracle": 1 - curve.risk_at(every, GRID, oracle=True)[0],
    }
    return {name: _plain(line) for name, line in found.items()} | {"all": float(1 - curve.loss.mean())}


def _plain(line: Array) -> Sequence[float | None]:
    return [None if np.isnan(value) else round(value, 6) for value in line.tolist()]
