"""The decision of one task as plain data, and how it is read from a file that may be anything."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from tandem.decisions.steps import STEPS, Step
from tandem.decisions.wanted import read_wanted
from tandem.errors import ConfigError, DataError

RULES = ("threshold", "rankdice")
"""How probabilities of pixels become a mask."""

COOLEST, HOTTEST = 0.05, 20.0
"""Range of temperatures."""


@dataclass(frozen=True)
class Decision:
    """How the probabilities of one task become its answer; the default is the threshold of the checkpoint alone.

    It is applied in this order: logits are divided by the temperature; each probability is compared with its channel's
    threshold, or `rankdice` makes the mask; then the steps change the mask. Where each pixel has one of several
    classes, `rankdice` stands in place of the most probable class, and there are neither thresholds nor steps.

    Attributes:
        rule: `threshold` or `rankdice`.
        temperature: divides the logits, above 0; 1 changes nothing.
        thresholds: one for each channel, inside (0, 1); empty: those of the checkpoint.
        wanted: what the thresholds were chosen for, such as `sensitivity:0.95`; empty: not so.
        steps: post-processing of the mask of each channel; empty: none.
        gains: by how much the steps of each channel raised the objective on validation data.
        images: number of validation images that it was fitted on; 0: nothing was fitted.
    """

    rule: str = "threshold"
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    wanted: str = ""
    steps: tuple[tuple[Step, ...], ...] = ()
    gains: tuple[float, ...] = ()
    images: int = 0

    @property
    def plain(self) -> bool:
        """Whether a mask is what the threshold makes of the probabilities, and no more."""
        return self.rule == "threshold" and not any(self.steps)

    @property
    def neutral(self) -> bool:
        """Whether it changes nothing, so that a run answers as without it."""
        return self == NEUTRAL

    def __str__(self) -> str:
        """The decision in words.

        Example:
            >>> print(Decision("rankdice", 1.5, images=24))
            rankdice, temperature 1.5; fitted on 24 validation images
        """
        parts = [self.rule if self.rule != "threshold" else "", f"threshold for {self.wanted}" if self.wanted else ""]
        parts += [f"temperature {self.temperature:.3g}"] if self.temperature != 1 else []
        parts += [", then ".join(map(str, of_channel)) for of_channel in self.steps if of_channel]
        said = ", ".join(part for part in parts if part) or "threshold"
        return f"{said}; fitted on {self.images} validation images" if self.images else said


NEUTRAL = Decision()
"""The threshold of the checkpoint alone."""


def as_plain(decision: Decision) -> dict[str, Any]:
    """The decision as it is stored in a checkpoint and in JSON files."""
    return {
        "rule": decision.rule,
        "temperature": decision.temperature,
        "thresholds": list(decision.thresholds),
        "wanted": decision.wanted,
        "steps": [[{"name": step.name, "share": step.share} for step in one] for one in decision.steps],
        "gains": list(decision.gains),
        "images": decision.images,
    }


def read_decision(value: Any, channels: int, place: str, dense: bool = True, exclusive: bool = False) -> Decision:
    """Reads what `as_plain` has written.

    Args:
        value: from a file that may hold anything.
        channels: number of channels of the task.
        place: file and task, for the message.
        dense: whether the task predicts each pixel, so that it has masks.
        exclusive: whether each pixel has one of several classes, whose masks have no steps.

    Raises:
        DataError: it is no decision of such a task.
    """

    def refuse(what: str) -> NoReturn:
        raise DataError(f"{place} holds a decision whose {what}; the file is damaged: copy it again, or fit it again")

    if not isinstance(value, Mapping) or value.keys() != as_plain(NEUTRAL).keys():
        refuse(f"entries are not {', '.join(as_plain(NEUTRAL))}")
    rule, temperature, wanted, images = (value[key] for key in ("rule", "temperature", "wanted", "images"))
    if rule not in RULES or (rule == "rankdice" and not dense):
        refuse(f"rule is {_short(rule)}")
    if not _number(temperature) or not COOLEST <= temperature <= HOTTEST:
        refuse(f"temperature is {_short(temperature)}, not a number from {COOLEST:g} to {HOTTEST:g}")
    thresholds = _numbers(value["thresholds"])
    if thresholds is None or len(thresholds) not in (0, channels) or not all(0 < one < 1 for one in thresholds):
        refuse(f"thresholds are {_short(value['thresholds'])}, not {channels} numbers inside (0, 1)")
    try:
        wanted = str(read_wanted(wanted)) if wanted != "" else ""
    except ConfigError:
        refuse(f"wanted is {_short(wanted)}, not such as sensitivity:0.95")
    steps, gains = _steps(value["steps"]), _numbers(value["gains"])
    if steps is None or len(steps) not in ((0, channels) if dense and not exclusive else (0,)):
        refuse(f"steps are {_short(value['steps'])}")
    if gains is None or len(gains) not in (0, channels):
        refuse(f"gains are {_short(value['gains'])}")
    if not isinstance(images, int) or isinstance(images, bool) or images < 0:
        refuse(f"images is {_short(images)}, not a number of images")
    return Decision(rule, float(temperature), thresholds, wanted, steps, gains, images)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(value: Any) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(map(_number, value)):
        return None
    return tuple(map(float, value))


def _steps(value: Any) -> tuple[tuple[Step, ...], ...] | None:
    if not isinstance(value, list | tuple) or not all(isinstance(one, list | tuple) for one in value):
        return None
    found = []
    for one in value:
        for step in one:
            if not isinstance(step, Mapping) or step.keys() != {"name", "share"} or step["name"] not in STEPS:
                return None
            if not _number(step["share"]) or not 0 <= step["share"] < 1:
                return None
        found.append(tuple(Step(step["name"], float(step["share"])) for step in one))
    return tuple(found)


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}..."
