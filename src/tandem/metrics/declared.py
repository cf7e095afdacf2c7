"""What the yaml of a metric declares: the keys `direction` and `label` beside `_target_`, and `empty`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from tandem.config.metric_nodes import SHOWN_AS, metric_nodes
from tandem.errors import ConfigError
from tandem.metrics.catalogue import Direction, Quantity


class Declared(NamedTuple):
    """What a yaml declares of its metric; None: nothing."""

    direction: Direction = None
    label: str | None = None


def declared(tasks: Mapping[str, Any]) -> dict[str, Declared]:
    """What the configuration declares of its metrics, by `<task>/<metric>`.

    Args:
        tasks: configuration of the tasks by name.

    Raises:
        ConfigError: another direction than `min` or `max`, a label that is not one line of text.
    """
    return {
        f"{task}/{name}": _checked(node, f"tasks.{task}.metrics.{name}")
        for task, settings in tasks.items()
        for name, node in metric_nodes(settings).items()
    }


def _checked(node: Mapping[str, Any], where: str) -> Declared:
    direction, label = (node.get(key) for key in SHOWN_AS)
    if direction not in ("min", "max", None):
        raise ConfigError(f"{where}.direction is {direction!r}, but must be min or max")
    if label is not None and not (isinstance(label, str) and label.strip() and label.isprintable()):
        raise ConfigError(f"{where}.label is {label!r}, but must be one line of text")
    return Declared(direction, label)


def applied(quantity: Quantity, by_yaml: Declared, own: Any, behind: str = "") -> Quantity:
    """A quantity by its yaml, else by the metric's own attribute, else by the catalogue.

    Args:
        quantity: of the catalogue, or an unknown one.
        by_yaml: what its yaml declares.
        own: the metric's `higher_is_better`; only true and false count.
        behind: what follows the metric in the logged name, such as `/benign`.
    """
    by_itself: Direction = ("max" if own else "min") if isinstance(own, bool) else None
    direction = by_yaml.direction or by_itself or quantity.direction
    label = quantity.label if by_yaml.label is None else f"{by_yaml.label}{behind}"
    return replace(quantity, direction=direction, label=label)


def declared_anew(stored: Mapping[str, Quantity], tasks: Mapping[str, Any]) -> dict[str, Quantity]:
    """The quantities of a finished run with what the configuration declares today.

    Args:
        stored: quantities of the run.
        tasks: configuration of the tasks by name.
    """
    by_yaml = declared(tasks)
    found = {}
    for key, one in stored.items():
        task, _, name = key.partition("/")
        metric, slash, rest = name.partition("/")
        found[key] = applied(one, by_yaml.get(f"{task}/{metric}", Declared()), None, f"{slash}{rest}")
    return found


def skips_empty(task: Mapping[str, Any], metric: str) -> bool:
    """Whether a task's configuration makes a metric leave out images without a lesion.

    Args:
        task: its configuration.
        metric: name of the metric.
    """
    return metric_nodes(task).get(metric, {}).get("empty") == "skip"
