"""Detectors of problems in the gradients."""

from statistics import median

from tandem.callbacks.collapse.finding import Finding, lower_rate, more_weight
from tandem.callbacks.collapse.history import Epoch, History, Limits

ZERO = 1e-8
"""A gradient has vanished if its norm is below this value, Adam's epsilon, so that it has no effect."""

EXPLODED = 100
"""A gradient explodes if its norm is this many times what it was before."""


def gradient_vanished(history: History, limits: Limits) -> list[Finding]:
    """Detects a vanished gradient of all parameters."""
    recent = limits.recent(history, _norm, "norm")
    if not recent or not max(recent) < ZERO:
        return []
    saw = f"the gradient's norm was at most {max(recent):.2g} in the last {len(recent)} epochs with a measurement, "
    saw += "so training has stopped"
    attempt = f"{lower_rate(history.last.rate)}, another seed, or check for a saturated or detached head"
    return [Finding("gradient_vanished", saw, attempt, {"norm": recent[-1]})]


def gradient_exploding(history: History, limits: Limits) -> list[Finding]:
    """Detects a gradient of all parameters that is far larger than before."""
    recent = limits.recent(history, _norm, "norm")
    known = [epoch.norm for epoch in history.epochs if epoch.norm is not None]
    before = known[: len(known) - len(recent)]
    if not recent or not before or not min(recent) > EXPLODED * median(before):
        return []
    saw = f"the gradient's norm was at least {min(recent):.3g} in the last {len(recent)} epochs with a measurement, "
    saw += f"against {median(before):.3g} before"
    attempt = f"{lower_rate(history.last.rate)}, or clip gradients (trainer.gradient_clip_val=1)"
    return [Finding("gradient_exploding", saw, attempt, {"norm": recent[-1], "before": median(before)})]


def small_share(history: History, limits: Limits) -> list[Finding]:
    """Detects a task with almost no share of the shared parameters' gradient, so that they do not learn it."""
    found = []
    for task in history.names(lambda epoch: epoch.shares):
        recent = limits.recent(history, lambda epoch: epoch.shares, task)
        if recent and max(recent) < limits.share:
            saw = f"it had at most {max(recent):.2%} of the shared gradient in the last {len(recent)} epochs with a "
            saw += "measurement"
            attempt = more_weight(task, recent[-1], history.last.weights)
            found.append(Finding("small_share", saw, attempt, {"share": recent[-1]}, task, fatal=False))
    return found


def opposed_tasks(history: History, limits: Limits) -> list[Finding]:
    """Detects two tasks that pull the shared parameters in opposite directions."""
    found = []
    for pair in history.names(lambda epoch: epoch.cosines):
        recent = limits.recent(history, lambda epoch: epoch.cosines, pair)
        if recent and max(recent) < limits.opposed:
            first, second = pair.split("/")
            saw = f"the gradients of '{first}' and '{second}' were opposed in the last {len(recent)} epochs with a "
            saw += f"measurement: their cosine was at most {max(recent):.2f}"
            attempt = "balance=pcgrad or balance=cagrad, and compare with single-task runs "
            attempt += f"(task={first}, task={second})"
            found.append(Finding("opposed_tasks", saw, attempt, {"cosine": recent[-1]}, fatal=False))
    return found


def _norm(epoch: Epoch) -> dict[str, float]:
    return {} if epoch.norm is None else {"norm": epoch.norm}
