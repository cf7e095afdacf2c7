"""What a metric's yaml says of its quantity: the keys `direction` and `label` beside `_target_`, and `empty`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from tandem.config.metric_nodes import SHOWN_AS, metric_nodes
from tandem.errors import ConfigError
from tandem.metrics.catalogue import Direction, Quantity


class Declared(NamedTuple):
    """What the user says of a metric; None where nothing is said."""

    direction: Direction = None
    label: str | None = None


def declared(tasks: Mapping[str, Any]) -> dict[str, Declared]:
    """What the configuration says of its metrics, by `<task>/<metric>`.

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


def applied(quantity: Quantity, said: Declared, own: Any, behind: str = "") -> Quantity:
    """A quantity with what its yaml says of it, else what the metric says of itself, else what the catalogue says.

    Args:
        quantity: of the catalogue, or an unknown one.
        said: in its yaml.
        own: the metric's `higher_is_better`; a value that is neither true nor false says nothing.
        behind: what follows the metric in the logged name, such as `/benign`.
    """
    by_itself: Direction = ("max" if own else "min") if isinstance(own, bool) else None
    direction = said.direction or by_itself or quantity.direction
    label = quantity.label if said.label is None else f"{said.label}{behind}"
    return replace(quantity, direction=direction, label=label)


def declared_anew(told: Mapping[str, Quantity], tasks: Mapping[str, Any]) -> dict[str, Quantity]:
    """The quantities of a finished run with what the configuration says of them by now.

    Args:
        told: by the run.
        tasks: configuration of the tasks by name.
    """
    said = declared(tasks)
    found = {}
    for key, one in told.items():
        task, _, name = key.partition("/")
        metric, slash, rest = name.partition("/")
        found[key] = applied(one, said.get(f"{task}/{metric}", Declared()), None, f"{slash}{rest}")
    return found


def skips_empty(task: Mapping[str, Any], metric: str) -> bool:
    """Whether a task's configuration makes a metric leave out images without a lesion.

    Args:
        task: its configuration.
        metric: name of the metric.
    """
    return metric_nodes(task).get(metric, {}).get("empty") == "skip"
