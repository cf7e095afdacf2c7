"""Declarations in the yaml of a metric: the keys `direction` and `label` beside `_target_`, and `empty`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from tandem.config.metric_nodes import SHOWN_AS, metric_nodes
from tandem.errors import ConfigError
from tandem.metrics.catalogue import Direction, Quantity


class Declared(NamedTuple):
    """Direction and label that a yaml declares for its metric; None: not declared."""

    direction: Direction = None
    label: str | None = None


def declared(tasks: Mapping[str, Any]) -> dict[str, Declared]:
    """Reads the declarations of all metrics, by `<task>/<metric>`.

    Args:
        tasks: configuration of the tasks by name.

    Raises:
        ConfigError: a direction is neither `min` nor `max`, or a label is not one line of text.
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
    """Applies declarations to a quantity. The yaml overrides `higher_is_better`, which overrides the catalogue.

    Args:
        quantity: entry of the catalogue, or of an unknown metric.
        by_yaml: declarations in the yaml.
        own: the metric's `higher_is_better`; ignored unless it is True or False.
        behind: the part of the logged name after the metric, such as `/benign`.
    """
    by_itself: Direction = ("max" if own else "min") if isinstance(own, bool) else None
    direction = by_yaml.direction or by_itself or quantity.direction
    label = quantity.label if by_yaml.label is None else f"{by_yaml.label}{behind}"
    return replace(quantity, direction=direction, label=label)


def declared_anew(stored: Mapping[str, Quantity], tasks: Mapping[str, Any]) -> dict[str, Quantity]:
    """Applies the declarations of the current configuration to the quantities of a finished run.

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
    """Whether a metric leaves out images without a lesion (`empty: skip`).

    Args:
        task: configuration of the task.
        metric: name of the metric.
    """
    return metric_nodes(task).get(metric, {}).get("empty") == "skip"
