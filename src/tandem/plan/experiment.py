"""Writes a plan as an ordinary experiment: a yaml in which each choice has its reason."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from tandem.plan.asked import Asked
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.rules import Decision
from tandem.utils.names import printable

WIDE = 110


def experiment_text(name: str, asked: Asked, decisions: Sequence[Decision], found: Fingerprint) -> str:
    """The text of the yaml.

    Args:
        name: of the experiment.
        asked: what the plan starts from.
        decisions: of the rules.
        found: the fingerprint that they were made from.
    """
    lines = [
        "# @package _global_",
        *_comment(f"{found.name}: a plan by tandem-plan for {found.images} images. Every line may be changed.", 0),
        "defaults:",
        *([f"  - {_scalar(asked.base)}"] if asked.base else []),
        f"  - override /data: {_scalar(asked.data)}",
        *(f"  - override /{key}: {_scalar(value)}" for key, value in asked.groups.items()),
    ]
    for decision in decisions:
        if groups := {key: value for key, value in decision.choice.groups.items() if key not in asked.groups}:
            lines += _comment(f"{decision.rule.question}: {decision.choice.reason}", 2)
            lines += [f"  - override /{key}: {_scalar(value)}" for key, value in groups.items()]
    values: dict[str, Any] = {"name": name, **asked.given}
    notes = {}
    for decision in decisions:
        for number, (key, value) in enumerate(decision.choice.values.items()):
            values[key] = value
            if not number:
                again = "; see above" if decision.choice.groups else f": {decision.choice.reason}"
                notes[key] = f"{decision.rule.question}{again}"
    lines += ["", *_tree(_nested(values), notes, "", 0)]
    silent = [decision for decision in decisions if not decision.choice.fired]
    lines += ["", "# left at the default:"] if silent else []
    for decision in silent:
        lines += _comment(f"{decision.rule.question}: {decision.choice.reason}", 0, "# - ", "#   ")
    return "\n".join(lines) + "\n"


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *above, last = key.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = Leaf(value)
    return tree


class Leaf:
    """A value of the yaml, which may itself be a mapping."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _tree(node: Mapping[str, Any], notes: Mapping[str, str], prefix: str, indent: int) -> Iterator[str]:
    for key, value in node.items():
        path = f"{prefix}{key}"
        if note := notes.get(path):
            yield from _comment(note, indent)
        if isinstance(value, Leaf):
            yield f"{' ' * indent}{_scalar(key)}: {_scalar(value.value)}"
        else:
            yield f"{' ' * indent}{_scalar(key)}:"
            yield from _tree(value, notes, f"{path}.", indent + 2)


def _comment(text: str, indent: int, first: str = "# ", then: str = "# ") -> list[str]:
    whole = printable(" ".join(text.split()))  # names of the data may hold breaks of lines and control characters
    space = " " * indent
    return textwrap.wrap(whole, WIDE, initial_indent=space + first, subsequent_indent=space + then)


def _scalar(value: Any) -> str:
    """A value in YAML's flow style, on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()
