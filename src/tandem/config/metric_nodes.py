"""The nodes of metrics in a task's configuration, and their keys that are not arguments of the metric."""

from collections.abc import Mapping
from typing import Any

SHOWN_AS = ("direction", "label")
"""Keys that define how a metric is shown and compared. They change no numbers and are not part of the run's hash."""


def metric_nodes(task: Any) -> dict[str, Mapping[str, Any]]:
    """The nodes of a task's metrics by name; disabled metrics are left out.

    Args:
        task: configuration of the task.
    """
    found = task.get("metrics") if isinstance(task, Mapping) else None
    nodes = found if isinstance(found, Mapping) else {}
    return {str(name): node for name, node in nodes.items() if isinstance(node, Mapping)}


def without_shown_as(task: Any) -> Any:
    """A task's configuration without `direction` and `label` of its metrics.

    Example:
        >>> without_shown_as({"metrics": {"nll": {"_target_": "my.NLL", "direction": "min"}}})
        {'metrics': {'nll': {'_target_': 'my.NLL'}}}
    """
    if not (nodes := metric_nodes(task)):
        return task
    kept = {name: {key: value for key, value in node.items() if key not in SHOWN_AS} for name, node in nodes.items()}
    return {**task, "metrics": {**task["metrics"], **kept}}
