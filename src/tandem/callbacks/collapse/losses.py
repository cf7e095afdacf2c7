"""Detectors of problems in the losses over epochs."""

import math
from typing import NamedTuple

from tandem.callbacks.collapse.finding import Finding, lower_rate
from tandem.callbacks.collapse.history import Epoch, History, Limits

RISE = 0.25
"""A loss has risen if it exceeds its best by this share of the larger of the best and the fall before it."""

OVERFITTING = (
    "augment (augment=light), use more weight decay (optimizer.weight_decay=0.05), or stop earlier "
    "(callbacks=early_stopping)"
)


def not_finite(history: History, limits: Limits) -> list[Finding]:
    """Detects a nan or infinite loss or gradient; later epochs cannot recover, so there is no warm-up or patience."""
    last = history.last
    values = {f"{stage}/{task}/loss": loss for stage in ("train", "val") for task, loss in getattr(last, stage).items()}
    values |= {} if last.norm is None else {"gradient norm": last.norm}
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if not bad:
        return []
    first = next(iter(bad))
    saw = f"{first} is {bad[first]} in epoch {last.number}, so all weights may be nan"
    attempt = f"{lower_rate(last.rate)}, or clip gradients (trainer.gradient_clip_val=1)"
    return [Finding("not_finite", saw, attempt, bad)]


def learning_rate_too_high(history: History, limits: Limits) -> list[Finding]:
    """Detects a training loss that stays above its best, or above the loss of the untrained network."""
    found = []
    for task in history.last.train:
        losses = history.losses(task, "train")
        recent = _judged(losses, limits)
        if not recent:
            continue
        low, best, peak = min(recent), _best_before(losses, len(recent)), max(loss for _, loss in losses)
        start = history.start.get(task, math.nan) if len(losses) == len(history.epochs) else math.nan
        if start > 0 and (low > (1 + RISE) * start or (peak > 1.5 * start and low > 0.8 * start)):
            saw = f"its training loss was {start:.4g} before the first step, then up to {peak:.4g}, and at "
            saw += f"least {low:.4g} in each of the last {len(recent)} epochs: the steps are too large"
            numbers = {"start": start, "peak": peak, "now": recent[-1]}
        elif low > best.risen:
            saw = f"its training loss has risen from {best.loss:.4g} to at least {low:.4g} in each of the last "
            saw += f"{len(recent)} epochs: the steps are too large"
            numbers = {"best": best.loss, "now": recent[-1]}
        else:
            continue
        found.append(Finding("learning_rate_too_high", saw, lower_rate(history.last.rate), numbers, task))
    return found


def val_loss_rising(history: History, limits: Limits) -> list[Finding]:
    """Detects a validation loss that stays above its best; the course of the training loss shows the cause."""
    found = []
    for task in history.last.val:
        losses = history.losses(task, "val")
        recent = _judged(losses, limits)
        best = _best_before(losses, len(recent))
        if not recent or not min(recent) > best.risen:
            continue
        train = [loss for epoch, loss in history.losses(task, "train") if epoch.number >= best.epoch]
        overfits = bool(train) and sum(train[-len(recent) :]) / len(train[-len(recent) :]) < train[0]
        saw = f"its validation loss has risen from {best.loss:.4g} in epoch {best.epoch} to at least {min(recent):.4g} "
        saw += f"in each of the last {len(recent)} epochs, {_course(train, overfits)}"
        attempt = OVERFITTING if overfits else lower_rate(history.last.rate)
        numbers = {"best": best.loss, "best_epoch": best.epoch, "now": recent[-1]}
        found.append(Finding("val_loss_rising", saw, attempt, numbers, task, fatal=not overfits))
    return found


def _course(train: list[float], overfits: bool) -> str:
    if not train:
        return "and there is no training loss to compare it with"
    went = f"the training loss went from {train[0]:.4g} to {train[-1]:.4g}"
    return f"while {went}: it overfits" if overfits else f"and {went}: it diverges"


def _judged(losses: list[tuple[Epoch, float]], limits: Limits) -> list[float]:
    """Returns the last `patience` losses after the warm-up; empty if there are fewer."""
    late = [loss for epoch, loss in losses if epoch.number >= limits.warm_up]
    return late[-limits.patience :] if len(late) >= limits.patience else []


class _Best(NamedTuple):
    """The best loss before the recent ones, its epoch, and the limit above which a loss has risen; nan without any."""

    loss: float = math.nan
    epoch: int = 0
    risen: float = math.nan


def _best_before(losses: list[tuple[Epoch, float]], recent: int) -> _Best:
    """Finds the best earlier loss; for a loss near or below 0, the limit depends on how far it had fallen."""
    before = losses[: len(losses) - recent]
    if not before:
        return _Best()
    epoch, best = min(before, key=lambda entry: entry[1])
    return _Best(best, epoch.number, best + RISE * max(abs(best), before[0][1] - best))
