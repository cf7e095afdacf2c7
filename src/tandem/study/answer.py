"""The sentences that the page of a study begins with: which cell is best, how sure that is, and what matters."""

from tandem.study.analysis import Analysis, focused
from tandem.study.cells import Cell
from tandem.study.choice import monitor_of
from tandem.study.effects import Effect, effects_of
from tandem.study.statistics import LEAST


def study_answer(analysis: Analysis) -> str:
    """The answer of a study in plain text.

    Args:
        analysis: of the study.
    """
    said = _best(analysis)
    if analysis.chosen is not None and len(analysis.cells) > 1:
        said += f" {_noise(analysis)}"
        name = monitor_of(analysis.cells)
        if name is not None and analysis.params:
            short = focused(analysis)
            said += f" {_effects(effects_of(name, short.cells, list(short.params.values())))}"
    return said.strip()


def _best(analysis: Analysis) -> str:
    name = monitor_of(analysis.cells)
    if len(analysis.cells) == 1:
        cell = analysis.cells[0]
        runs = "1 run" if len(cell.runs) == 1 else f"{len(cell.runs)} runs"
        return f"{runs} of one setting: {_numbers(analysis, cell, list(analysis.headlines.values()))}."
    if analysis.chosen is None or name is None:
        return "No cell is chosen: the runs differ in the metric that they monitor, or do not name it."
    cell = analysis.chosen
    tests = [metric for metric in analysis.headlines.values() if cell.summary(metric).n]
    told = f"{cell.label} was best on validation data: {_numbers(analysis, cell, [name])}"
    return f"{told}; on test data it has {_numbers(analysis, cell, tests)}." if tests else f"{told}."


def _numbers(analysis: Analysis, cell: Cell, names: list[str]) -> str:
    parts = []
    for name in names:
        found, one = cell.summary(name), analysis.quantity(name)
        spread = f" ± {one.text(found.std)}" if found.n > 1 else ""
        words = f"{name.split('/')[1]} {one.column_label.partition(' (')[0]}" if name.count("/") > 1 else "loss"
        parts.append(f"{words} {one.text(found.mean)}{spread} (n = {found.n})")
    return ", ".join(parts)


def _noise(analysis: Analysis) -> str:
    others, noise = len(analysis.cells) - 1, len(analysis.noise)
    if noise == others:
        return (
            "The other cell is within noise of it."
            if others == 1
            else f"All {others} other cells are within noise of it."
        )
    if noise == 0:
        return (
            "It is better than the other cell beyond noise."
            if others == 1
            else "It is better than every other cell beyond noise."
        )
    return f"{noise} of {others} other cells are within noise of it."


def _effects(effects: list[Effect]) -> str:
    """What the data show of each hyperparameter. No effect shown is less than no effect: the test may be too weak."""
    few = [effect for effect in effects if effect.n < LEAST]
    if len(few) == len(effects):
        return f"What matters cannot be judged from fewer than {LEAST} seeds or folds."
    found = [f"{effect.label} matters (p = {effect.p:.2g})" for effect in effects if effect.shown]
    none = [effect.label for effect in effects if not effect.shown and effect.n >= LEAST]
    if none:
        found.append(f"no effect of {' or '.join(none)} is shown")
    text = ", ".join(found)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
