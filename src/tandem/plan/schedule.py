"""How the time of a budget is spread over the folds: pure functions, so that a clock can be made up."""

from collections.abc import Mapping, Sequence
from typing import Any

from tandem.plan.rules.epochs import MOST

TESTED = 0.12
"""Share of the budget that evaluation takes, as long as none has been measured."""

START = 3.0
"""Seconds that a run takes beside its epochs, likewise: reading, the best epoch on test data, its report."""

PAGES = 0.02
"""Share of the budget for the file of all folds and the page."""


def seconds_for(fold: int, folds: int, budget: float, spent: float, done: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of a fold's epochs: an equal share of the time that is left, less what a fold takes beside them.

    So what one fold left over, or took too much, is shared by those after it.

    Args:
        fold: from 0.
        folds: number of folds.
        budget: seconds of everything.
        spent: of them, so far.
        done: the folds before, with the seconds `beside` their epochs that were measured.

    Example:
        >>> seconds_for(0, 2, 600, 40, [])
        235.0
        >>> seconds_for(1, 2, 600, 320, [{"beside": 20.0}])
        248.0
    """
    measured = [float(entry["beside"]) for entry in done if entry.get("beside") is not None]
    beside = measured[-1] if measured else START + TESTED * budget / folds
    return max(1.0, round((budget * (1 - PAGES) - spent) / (folds - fold) - beside, 1))


def most_epochs(planned: int, choices: Mapping[str, Any]) -> int:
    """The epochs after which a fold ends even if time is left.

    The plan's number is an estimate, which the deadline of a fold corrects in both directions; a number that a person
    wrote into the experiment is not exceeded.

    Args:
        planned: by the experiment as it stands.
        choices: of the rules, by rule, from the plan's file.

    Example:
        >>> choices = {"epochs": {"values": {"trainer.max_epochs": 40}}}
        >>> most_epochs(40, choices), most_epochs(7, choices)
        (200, 7)
    """
    chosen = ((choices.get("epochs") or {}).get("values") or {}).get("trainer.max_epochs")
    return MOST if chosen == planned else planned
