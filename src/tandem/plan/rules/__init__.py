"""The rules of a plan, one file each: a module with `RULE` is a rule; nothing else has to be edited."""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
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


def decide(fingerprint: Fingerprint, names: Sequence[str] = ()) -> list[Decision]:
    """Asks the rules.

    Args:
        fingerprint: of the data and the machine.
        names: of the rules to ask; empty: every rule.

    Raises:
        ConfigError: there is no such rule.
    """
    rules = all_rules()
    if unknown := [name for name in names if name not in rules]:
        raise ConfigError(f"no rule of a plan is called '{unknown[0]}': {nearest(unknown[0], rules)}")
    return [Decision(name, rule, rule.choose(fingerprint)) for name, rule in rules.items() if name in (names or rules)]
