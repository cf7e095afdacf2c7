"""A threshold for a wanted sensitivity, specificity or positive predictive value."""

from tandem.decisions.wanted import MEASURES, Wanted
from tandem.errors import ConfigError
from tandem.metrics.objective import highest
from tandem.metrics.sweep_result import SweepResult

OTHER = {"sensitivity": "specificity", "specificity": "sensitivity", "ppv": "sensitivity"}
"""What is then as high as it can be."""


class UnreachedError(ConfigError):
    """No threshold reaches what is wanted."""


def threshold_for(result: SweepResult, wanted: Wanted, place: str = "") -> float:
    """Chooses the threshold that reaches the wanted value and has the most of the other measure.

    For a sensitivity that is the threshold with the highest specificity, for a specificity or PPV that with the highest
    sensitivity. Ties are resolved in favour of the threshold nearest to 0.5. Counts are summed over all images, so that
    a task with masks has the sensitivity of pixels.

    Args:
        result: of one question, on validation data.
        wanted: what to reach.
        place: the task, for the message.

    Raises:
        UnreachedError: no threshold reaches it, or it is not defined, as sensitivity is without a positive.

    Example:
        >>> import torch
        >>> from tandem.metrics import DiceSweep
        >>> sweep = DiceSweep([0.2, 0.4, 0.6])
        >>> sweep.update(torch.tensor([[0.3], [0.5], [0.1], [0.7]]), torch.tensor([[1], [1], [0], [1]]))
        >>> round(threshold_for(sweep.compute(), Wanted("sensitivity", 0.6)), 2)
        0.4
    """
    whole = result.by(goal="dice", aggregate="global")
    value, other = (whole.measure(MEASURES[name])[0] for name in (wanted.measure, OTHER[wanted.measure]))
    reached = value >= wanted.least
    if not bool(reached.any()):
        known = value[~value.isnan()]
        said = f"reaches {float(known.max()):.4f} at most" if len(known) else "is not defined (no image has an answer)"
        raise UnreachedError(f"threshold={wanted}: {place + ': ' if place else ''}{wanted.measure} {said}; want less")
    return float(result.thresholds[int(highest(other, result.thresholds, reached))])
