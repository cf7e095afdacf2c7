"""Detectors of problems in the predictions on the validation split."""

from tandem.callbacks.collapse.finding import Finding, lower_rate, other_loss
from tandem.callbacks.collapse.history import History, Limits, Predicted

NONE = 0.01
"""A side of a mask is missing if less than this share of its true pixels is predicted."""

ALL = 0.99
"""Only one class is predicted if it has at least this share of the images."""

ALIKE = 0.1
"""Predictions are all alike if no class's probability differs by more than this between two images."""


def probabilities_as_logits(history: History, limits: Limits) -> list[Finding]:
    """Detects logits that lie in [0, 1] for several validation epochs: the head ends in a sigmoid or softmax.

    Logits of a trained head have both signs, but those of one small epoch may not, so `patience` epochs are judged, the
    warm-up included. A head that is known to end in a linear layer is never reported. A network with the same output
    for every image is reported only if the right answer is mostly no.
    """
    found = []
    for task, seen in history.last.predicted.items():
        alike = [epoch.predicted[task] for epoch in history.epochs[-limits.patience :] if task in epoch.predicted]
        if seen.linear or len(alike) < limits.patience or not all(map(_like_probabilities, alike)):
            continue
        recent = limits.recent(history, lambda epoch: epoch.predicted, task)
        stuck = seen.target_kind.thresholds and max(seen.true) < 0.5 and bool(recent)
        if seen.spread > ALIKE or stuck:
            saw = f"every logit of the last {len(alike)} validation epochs lies in [0, 1], in epoch "
            saw += f"{history.last.number} in [{seen.low:.3f}, {seen.high:.3f}]; "
            saw += "these look like probabilities, not logits, so its losses and metrics would be wrong"
            attempt = "remove the sigmoid or softmax at the end of its head; losses and tasks apply it themselves"
            numbers = {"lowest": seen.low, "highest": seen.high}
            found.append(Finding("probabilities_as_logits", saw, attempt, numbers, task))
    return found


def _like_probabilities(seen: Predicted) -> bool:
    return seen.low >= 0 and seen.high <= 1


def stuck_dice(history: History, limits: Limits) -> list[Finding]:
    """Detects an official Dice that stays below 0.01."""
    found = []
    for name in history.last.dice:
        recent = limits.recent(history, lambda epoch: epoch.dice, name)
        if recent and max(recent) < 0.01:
            saw = f"its validation Dice was at most {max(recent):.2g} in each of the last {len(recent)} epochs"
            attempt = f"{other_loss(name.split('/')[0])}; {lower_rate(history.last.rate)}"
            found.append(Finding("stuck_dice", saw, attempt, {"dice": recent[-1]}, name))
    return found


def one_sided(history: History, limits: Limits) -> list[Finding]:
    """Detects that nearly all pixels (or images) are predicted as background (no), or all as foreground (yes)."""
    found = []
    for task, seen in history.last.predicted.items():
        recent = limits.recent(history, lambda epoch: epoch.predicted, task)
        if not seen.target_kind.thresholds or not recent:
            continue
        (no, yes), what = seen.target_kind.sides, f"{seen.target_kind.unit}s"
        for channel, true in enumerate(seen.true):
            shares = [entry.chosen[channel] for entry in recent]
            if true > 0 and max(shares) <= NONE * true:
                side, fix = no, other_loss(task)
            elif true < 1 and max(1 - share for share in shares) <= NONE * (1 - true):
                side, fix = yes, "check that the head returns logits and the loss takes logits"
            else:
                continue
            saw = f"everything was predicted as {side} in each of the last {len(recent)} epochs: "
            saw += f"{shares[-1]:.2%} of the validation {what} are called {yes}, {true:.2%} are"
            attempt = f"{fix}; {lower_rate(history.last.rate)}"
            name = task if len(seen.true) == 1 else f"{task}/{seen.names[channel]}"
            found.append(Finding("one_sided", saw, attempt, {"predicted": shares[-1], "true": true}, name))
    return found


def one_class(history: History, limits: Limits) -> list[Finding]:
    """Detects that one class of several is predicted for nearly every image."""
    found = []
    for task, seen in history.last.predicted.items():
        recent = limits.recent(history, lambda epoch: epoch.predicted, task)
        if not seen.target_kind.exclusive or not recent:
            continue
        index = max(range(len(seen.chosen)), key=seen.chosen.__getitem__)
        least = min(entry.chosen[index] for entry in recent)
        if least < ALL or seen.true[index] > 0.95:
            continue
        saw = f"class '{seen.names[index]}' was predicted for at least {least:.1%} of the validation images in each "
        saw += f"of the last {len(recent)} epochs, though only {seen.true[index]:.1%} are of it"
        attempt = f"sample classes equally (loader.sampling=balanced), loss/multiclass@tasks.{task}.loss=focal, or "
        attempt += lower_rate(history.last.rate)
        numbers = {"class": index, "predicted": seen.chosen[index], "true": seen.true[index]}
        found.append(Finding("one_class", saw, attempt, numbers, task))
    return found
