"""What a search is after, and whether more or less of it is better."""

import logging
from collections.abc import Mapping
from typing import Any

from tandem.config.instantiate import resolve_target
from tandem.config.metric_nodes import metric_nodes
from tandem.config.slots import slot_at
from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.metrics.catalogue import Direction, describe, metric_of
from tandem.metrics.declared import applied, declared

log = logging.getLogger(__name__)

WHERE = "search.objectives"


def read_objectives(config: Mapping[str, Any]) -> dict[str, Direction]:
    """The objectives with their directions; by default the one value that also decides which epoch is best.

    Args:
        config: the resolved configuration of `conf/search.yaml`.

    Raises:
        ConfigError: an objective that no run has on validation data, or one without a known direction.
    """
    chosen = config["search"]["objectives"]
    if chosen is None:
        return {config["monitor"]: _of_monitor(config)}
    objectives = [chosen] if isinstance(chosen, str) else chosen
    if not objectives or not isinstance(objectives, list | Mapping) or not all(isinstance(x, str) for x in objectives):
        raise ConfigError(f"{WHERE} is {chosen!r}, but must be a list of metrics: [val/segmentation/dice]")
    if len(set(objectives)) < len(objectives):
        raise ConfigError(f"{WHERE} names a metric twice: {', '.join(objectives)}")
    for name in objectives:
        _check_name(name, config["tasks"])
    if isinstance(objectives, Mapping):
        return {name: _given(name, direction) for name, direction in objectives.items()}
    return {name: _known(name, config, WHERE) for name in objectives}


def _check_name(name: str, tasks: Mapping[str, Any]) -> None:
    stage, _, rest = name.partition("/")
    if stage != "val" or not rest:
        raise ConfigError(f"{WHERE}: '{name}' is not val/...; settings are chosen on validation data only")
    task = rest.split("/")[0]
    if "/" in rest and task not in tasks:
        raise ConfigError(f"{WHERE}: '{name}' is of no task: {nearest(task, tasks)}")


def _given(name: str, direction: Any) -> Direction:
    """The direction that stands behind an objective: `{val/age/my_error: min}`."""
    if direction not in ("min", "max"):
        raise ConfigError(f"{WHERE}: '{name}' has the direction {direction!r}, but it must be min or max")
    return direction  # type: ignore[no-any-return]


def _of_monitor(config: Mapping[str, Any]) -> Direction:
    """The direction of the monitor. `mode`, which another task's file may have set, never contradicts it."""
    direction = _known(config["monitor"], config, "monitor")
    if direction != config["mode"]:
        done = "maximised" if direction == "max" else "minimised"
        log.warning(
            "the search: %s is %s, though mode=%s; set mode=%s", config["monitor"], done, config["mode"], direction
        )
    return direction


def _known(name: str, config: Mapping[str, Any], where: str) -> Direction:
    """A direction that is not guessed.

    Raises:
        ConfigError: neither way is better, or the direction is unknown.
    """
    if direction := _direction(name, config):
        return direction
    if metric_of(name) is not None:
        raise ConfigError(f"{where}: of '{name}' neither more nor less is better; choose another metric")
    task, metric = _place(name)
    if metric in metric_nodes(config["tasks"].get(task)):
        fix = f"add +tasks.{task}.metrics.{metric}.direction=min (or max)"
    else:
        fix = f"write '{WHERE}={{{name}: min}}' (or max)"
    raise ConfigError(f"{where}: '{name}' has no known direction; {fix}")


def _direction(name: str, config: Mapping[str, Any]) -> Direction:
    """From the metric's yaml, its class, or the catalogue; None: unknown, or neither way is better."""
    found = describe(name)
    task, metric = _place(name)
    node = metric_nodes(config["tasks"].get(task)).get(metric)
    if node is None:
        return found.direction
    by_yaml = declared({task: config["tasks"][task]})[f"{task}/{metric}"]
    own = None
    if by_yaml.direction is None and "_target_" in node:
        where = f"tasks.{task}.metrics.{metric}"
        own = getattr(resolve_target(node["_target_"], where, slot_at(where)), "higher_is_better", None)
    return applied(found, by_yaml, own).direction


def _place(name: str) -> tuple[str, str]:
    """Task and metric of a logged name, without what follows the metric; empty where it has none."""
    _, task, metric, *_ = [*name.split("/"), "", ""]
    return (task, metric) if metric else ("", "")
