"""Resolves `monitor: auto`: the tasks decide which logged value selects the best epoch."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override

from tandem.errors import ConfigError

AUTO = "auto"
"""Placeholder value of `monitor` and `mode`."""

OFFERS = "monitors"
"""Root key under which each task's yaml proposes its `monitor`, `mode` and `rank`; removed when it is resolved."""

FALLBACK = {"monitor": "val/loss", "mode": "min", "rank": 0}
"""Monitor if no task proposes one."""


def choose_monitor(
    monitor: str, mode: str, tasks: Iterable[str], offers: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str]:
    """Resolves `auto` in the monitored value and its mode.

    If `monitor` is `auto`, the chosen task with the highest rank decides; ties are resolved in alphabetical order. If
    only `mode` is `auto`, it is the mode with which a chosen task proposes this monitor; a loss is minimised.

    Args:
        monitor: logged name of a value, or `auto`.
        mode: `min`, `max` or `auto`.
        tasks: names of the chosen tasks.
        offers: `monitor`, `mode` and `rank` by task; optional for each task.

    Returns:
        Monitor and mode; the mode stays `auto` if the direction of the given monitor is unknown.

    Raises:
        ConfigError: a task's proposal lacks a key, or its rank is not a number.

    Example:
        >>> offers = {"a": {"monitor": "val/a/f1", "mode": "max", "rank": 40}}
        >>> choose_monitor("auto", "auto", ["a", "b"], offers)
        ('val/a/f1', 'max')
        >>> choose_monitor("val/b/loss", "auto", ["a", "b"], offers)
        ('val/b/loss', 'min')
    """
    offered = [_checked(name, offers[name]) for name in sorted(tasks) if name in offers]
    if monitor == AUTO:
        best = max([*offered, FALLBACK], key=lambda offer: float(offer["rank"]))
        return str(best["monitor"]), str(best["mode"]) if mode == AUTO else mode
    if mode == AUTO:
        known = {str(offer["monitor"]): str(offer["mode"]) for offer in offered}
        return monitor, known.get(monitor, "min" if "loss" in monitor.split("/") else AUTO)
    return monitor, mode


def _checked(task: str, offer: Mapping[str, Any]) -> Mapping[str, Any]:
    where = f"{OFFERS}.{task}"
    if missing := [key for key in FALLBACK if key not in (offer or {})]:
        raise ConfigError(f"{where} lacks '{missing[0]}'; give {where}.{missing[0]}")
    rank = offer["rank"]
    if isinstance(rank, bool) or not isinstance(rank, int | float):
        raise ConfigError(f"{where}.rank is {rank!r}, but must be a number")
    return offer


def chosen_monitor(config: DictConfig) -> tuple[str, str] | None:
    """Calls `choose_monitor` for a composed configuration; None if it has no `monitor` or no tasks yet."""
    if any(key not in config or OmegaConf.is_missing(config, key) for key in ("monitor", "mode", "tasks")):
        return None
    offers = config.get(OFFERS)
    plain: Any = {} if offers is None else OmegaConf.to_container(offers, resolve=True)
    return choose_monitor(str(config.monitor), str(config.mode), map(str, config.tasks or ()), plain)


@contextmanager
def resolved_monitor(config: DictConfig) -> Iterator[None]:
    """Context in which `auto` in `monitor` and `mode` is resolved, so that references to them are resolved too."""
    found = chosen_monitor(config) or ()
    chosen = dict(zip(("monitor", "mode"), found, strict=False))
    auto = {key: AUTO for key in chosen if config[key] == AUTO}
    with flag_override(config, ["readonly", "struct"], [False, False]):
        config.update({key: chosen[key] for key in auto})
        try:
            yield
        finally:
            config.update(auto)
