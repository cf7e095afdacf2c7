"""The sentences that the page of a study begins with: which cell is best, how sure that is, and what matters."""

from collections.abc import Sequence

from tandem.metrics.catalogue import Quantity
from tandem.study.analysis import Analysis, focused
from tandem.study.cells import Cell
from tandem.study.choice import against_best, monitor_of
from tandem.study.effects import Effect, effects_of
from tandem.study.statistics import LEAST, paired
from tandem.study.swept_params import show_value


def study_answer(analysis: Analysis) -> str:
    """The answer of a study in plain text.

    Args:
        analysis: of the study.
    """
    said = _best(analysis)
    name = monitor_of(analysis.cells)
    if analysis.chosen is None or name is None or len(analysis.cells) < 2:
        return said
    short = focused(analysis)
    effects = effects_of(name, short.cells, list(short.params.values()))
    pairs = [pair for _, pair in against_best(analysis.chosen, analysis.cells)]
    if max(pair.n for pair in (*pairs, paired([]))) < LEAST and max((one.n for one in effects), default=0) < LEAST:
        few = f"fewer than {LEAST} seeds or folds"
        return f"{said} Whether that is more than noise, and what matters, cannot be judged from {few}."
    one = analysis.quantity(name)
    return " ".join(part for part in (said, _noise(analysis, len(pairs)), _effects(effects, one)) if part)


def _best(analysis: Analysis) -> str:
    name = monitor_of(analysis.cells)
    if len(analysis.cells) == 1:
        cell = analysis.cells[0]
        words = _numbers(analysis, cell, list(analysis.headlines.values()))
        return f"{_count(cell)} of one setting, on test data: {words}."
    if analysis.chosen is None or name is None:
        return "No cell is chosen: the runs differ in the metric that they monitor, or do not name it."
    cell = analysis.chosen
    tests = [metric for metric in analysis.headlines.values() if cell.summary(metric).n]
    told = f"{cell.label} was best on validation data: {_numbers(analysis, cell, [name])}"
    said = f"{told}; on test data it has {_numbers(analysis, cell, tests)}" if tests else told
    several = "mean ± standard deviation, " if len(cell.runs) > 1 else ""
    return f"{said} ({several}{_count(cell)})."


def _numbers(analysis: Analysis, cell: Cell, names: list[str]) -> str:
    """The means and deviations; a number of which fewer runs are known says so."""
    parts = []
    for name in names:
        found, one = cell.summary(name), analysis.quantity(name)
        spread = f" ± {one.text(found.std)}" if found.n > 1 else ""
        words = f"{name.split('/')[1]} {one.column_label.partition(' (')[0]}" if name.count("/") > 1 else "loss"
        fewer = f" (n = {found.n})" if found.n < len(cell.runs) else ""
        parts.append(f"{words} {one.text(found.mean)}{spread}{fewer}")
    return ", ".join(parts)


def _count(cell: Cell) -> str:
    """How many runs, and what they differ in where that is one thing."""
    parts = [dict(replicate) for replicate in cell.runs]
    differing = {key for part in parts for key in part if len({str(other.get(key)) for other in parts}) > 1}
    word = {"seed": "seed", "data.fold": "fold"}.get(next(iter(differing)), "run") if len(differing) == 1 else "run"
    return f"{len(cell.runs)} {word}{'' if len(cell.runs) == 1 else 's'}"


def _noise(analysis: Analysis, others: int) -> str:
    """How many cells noise may explain, of the other ones whose monitor is known."""
    noise = len(analysis.noise)
    if unknown := len(analysis.cells) - 1 - others:
        left = "1 cell without this number is" if unknown == 1 else f"{unknown} cells without this number are"
        return f"{noise} of {others} other cells are within noise of it; {left} left out."
    if noise == others:
        return (
            "The other cell is within noise of it."
            if others == 1
            else f"All {others} other cells are within noise of it."
        )
    if noise == 0:
        return "The other cell is worse beyond noise." if others == 1 else "Every other cell is worse beyond noise."
    return f"{noise} of {others} other cells are within noise of it."


def _effects(effects: Sequence[Effect], metric: Quantity) -> str:
    """What the data show of each hyperparameter. No effect shown is less than no effect: the test may be too weak."""
    judged = [effect for effect in effects if effect.n >= LEAST]
    if not judged:
        few = any(effect.n for effect in effects)
        reason = f"from fewer than {LEAST} seeds or folds" if few else "where no two cells differ in one thing alone"
        return f"What matters cannot be judged {reason}." if effects else ""
    found = [_shown(effect, metric) for effect in judged if effect.shown]
    found += [
        f"{effect.label} matters at some values of the others (p = {effect.alone:.2g}), but none is shown on average"
        for effect in judged
        if effect.depends
    ]
    none = [effect.label for effect in judged if not (effect.shown or effect.depends)]
    if none:
        found.append(f"no effect of {' or '.join(none)} is shown")
    if unknown := [effect.label for effect in effects if effect.n < LEAST]:
        found.append(f"{' and '.join(unknown)} cannot be judged")
    text = "; ".join(found)
    return f"{text[:1].upper()}{text[1:]}."


def _shown(effect: Effect, metric: Quantity) -> str:
    """An effect with its size: what is statistically clear may be too small to care about."""
    values = (effect.other, effect.one) if effect.difference > 0 else (effect.one, effect.other)
    high, low = map(show_value, values)
    size = metric.text(abs(effect.difference))
    return f"{effect.label} matters ({high} is {size} above {low}, p = {effect.p:.2g})"
