"""Epochs of each run."""

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules.folds import fold_count
from tandem.plan.rules.image_size import USED, epoch_seconds, side_of

VIEWS = 40_000
"""Images seen in training that are enough: more than twice the 16 000 (60 epochs of 270 images) of
results/curated_busi, and less than the 54 000 of its paper."""

MOST, LEAST = 200, 40
"""Epochs if the budget has room: at most, and at least."""


def epochs_of(found: Fingerprint) -> int:
    """What the budget allows for each fold, up to what is worth it; at least one."""
    room = USED * found.budget / fold_count(found)[0] / epoch_seconds(found, side_of(found))
    return max(1, min(int(room), enough(found)))


def enough(found: Fingerprint) -> int:
    """Epochs that are worth it."""
    return min(MOST, max(LEAST, round(VIEWS / max(1, found.train))))


def choose(found: Fingerprint) -> Choice:
    """The epochs, with the seconds of one."""
    epochs, folds, seconds = epochs_of(found), fold_count(found)[0], epoch_seconds(found, side_of(found))
    how = "measured" if found.measured else "estimated"
    why = f"an epoch takes {seconds:.3g} s ({how}), {USED:.0%} of {found.budget:.0f} s are for {folds} "
    why += "run" if folds == 1 else "folds"
    why += "; more would not be worth it" if epochs == enough(found) else ""
    return Choice(why, {"trainer.max_epochs": epochs})


RULE = Rule(
    question="epochs",
    place=60,
    source="the budget; own runs in results/curated_busi for the upper end",
    range=f"1 to {MOST}",
    choose=choose,
)
