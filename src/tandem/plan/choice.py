"""What a rule is, and what it chooses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tandem.plan.fingerprint import Fingerprint


@dataclass(frozen=True)
class Choice:
    """What a rule chooses.

    Attributes:
        reason: why, with the number that it comes from, in one sentence without a full stop.
        values: options by dotted key; empty if the rule leaves the defaults.
        groups: options of config groups, by the key of a defaults list, such as `augment`.
    """

    reason: str
    values: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fired(self) -> bool:
        """Whether it changes anything."""
        return bool(self.values or self.groups)


@dataclass(frozen=True)
class Rule:
    """A rule: a pure function of the fingerprint.

    Attributes:
        question: what it decides, in a few words.
        place: the order in which rules are shown and written.
        source: paper, or why.
        range: what it may choose.
        choose: the function.
    """

    question: str
    place: int
    source: str
    range: str
    choose: Callable[[Fingerprint], Choice]
