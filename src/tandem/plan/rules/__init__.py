"""The rules of a plan, one file each: a module with `RULE` is a rule; nothing else has to be edited."""

import importlib
import pkgutil
from dataclasses import dataclass

from tandem.plan.choice import Choice, Rule
from tandem.plan.fingerprint import Fingerprint


@dataclass(frozen=True)
class Decision:
    """A rule and what it chose.

    Attributes:
        name: name of the rule's file.
        rule: the rule.
        choice: its choice.
    """

    name: str
    rule: Rule
    choice: Choice


def all_rules() -> dict[str, Rule]:
    """Every rule by the name of its file, in the order of its place."""
    names = [found.name for found in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    rules = {name: module.RULE for name, module in modules.items() if hasattr(module, "RULE")}
    return dict(sorted(rules.items(), key=lambda item: (item[1].place, item[0])))


def decide(fingerprint: Fingerprint) -> list[Decision]:
    """Asks every rule.

    Args:
        fingerprint: of the data and the machine.
    """
    return [Decision(name, rule, rule.choose(fingerprint)) for name, rule in all_rules().items()]
