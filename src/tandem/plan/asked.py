"""What a plan starts from: the data and what was typed of them, on the command line or in a paper."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tandem.plan.fingerprint import Fingerprint

if TYPE_CHECKING:
    from tandem.config.hydra_application import Application


@dataclass(frozen=True)
class Asked:
    """What a plan starts from.

    Attributes:
        data: option of the group `data`.
        node: its options, resolved.
        given: options that were typed, by dotted key; no rule changes them.
        groups: options of other config groups that were typed, by the key of a defaults list.
        base: experiment that the plan goes on from; empty: the defaults.
        rules: names of the rules that choose; empty: all of them.
    """

    data: str
    node: Mapping[str, Any]
    given: Mapping[str, Any]
    groups: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
    rules: tuple[str, ...] = ()

    def settled(self, found: Fingerprint) -> dict[str, Any]:
        """What no rule may choose, by dotted key: what was typed, and, where few rules choose, what they leave.

        Args:
            found: the fingerprint of the data.
        """
        if not self.rules:
            return dict(self.given)
        left = {key: self.node[key.removeprefix("data.")] for key in OF_DATA if key.removeprefix("data.") in self.node}
        return {**left, "data.size": found.size, **self.given}


OF_DATA = ("data.folds", "data.fit", "data.channels")
"""Options of the data that rules choose, beside their size."""


def typed(node: Mapping[str, Any]) -> Asked:
    """What was typed on the command line of `tandem-plan`.

    Args:
        node: the resolved options of the data.
    """
    from hydra.core.hydra_config import HydraConfig

    section = HydraConfig.get()
    values = parsed(section.overrides.task)
    given = {key: value for key, value in values.items() if key.startswith("data.")}
    return Asked(str(section.runtime.choices["data"]), node, given)


def asked_by(words: Sequence[str], rules: Sequence[str] = (), hydra: "Application | None" = None) -> Asked:
    """What overrides of `tandem-train` ask for, such as `experiment=busi` and `data.root=PATH`.

    Args:
        words: the overrides.
        rules: names of the rules that choose; empty: all of them.
        hydra: from `tandem.python.config.application`, which takes a second to set up, for several calls.

    Raises:
        ConfigError: they cannot be composed.
    """
    from omegaconf import OmegaConf

    from tandem.config.resolve import resolve
    from tandem.python.config import application, composed_run

    with application(None) if hydra is None else nullcontext(hydra) as composer:
        composed = composed_run(composer, list(words))
        data = str(composed.hydra.runtime.choices["data"])
        node = resolve(OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]))["data"]
        values = parsed(words)
        options = composer.config_loader.get_group_options
        groups = {key: value for key, value in values.items() if options(key.partition("@")[0])}
    given = {key: value for key, value in values.items() if key not in groups}
    base = str(groups.pop("experiment", None) or "")
    groups.pop("data", None)
    return Asked(data, node, given, groups, base, tuple(rules))


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """The values of overrides by key, as Hydra reads them on a command line.

    Example:
        >>> parsed(["data.size=64", "+name=a b", "task=[x,y]"])
        {'data.size': 64, 'name': 'a b', 'task': ['x', 'y']}
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    found: dict[str, Any] = {}
    for word in words:
        key, _, text = word.lstrip("+").partition("=")
        value = OverridesParser.create().parse_override(f"key={text}").value()
        plain = str(value) if isinstance(value, str) else value
        found[key] = OmegaConf.to_container(OmegaConf.create({"value": plain}))["value"]  # type: ignore[call-overload,index]
    return found
