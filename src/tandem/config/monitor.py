"""Which logged value chooses the best epoch, where the user leaves that to the tasks (`monitor: auto`)."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override

from tandem.errors import ConfigError

AUTO = "auto"
"""The value of `monitor` and `mode` that stands for another one."""

OFFERS = "monitors"
"""Key at the root under which each task's yaml offers its `monitor`, `mode` and `rank`; no part of a resolved one."""

FALLBACK = {"monitor": "val/loss", "mode": "min", "rank": 0}
"""What is monitored where no task offers anything."""


def choose_monitor(
    monitor: str, mode: str, tasks: Iterable[str], offers: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str]:
    """The monitored value and its mode, with what `auto` stands for.

    Without a `monitor`, the chosen task with the highest rank decides; of equal ranks, the first in the alphabet. A
    `monitor` without a `mode` takes the mode with which a chosen task offers it; a loss is minimised.

    Args:
        monitor: logged name of a value, or `auto`.
        mode: `min`, `max` or `auto`.
        tasks: names of the chosen tasks.
        offers: `monitor`, `mode` and `rank` by task; a task may have none.

    Returns:
        Both; the mode stays `auto` where the direction of the given monitor is not known.

    Raises:
        ConfigError: an offer that lacks a key or has a rank that is not a number.

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
    """`choose_monitor` of a composed configuration; None where it has no `monitor` or no tasks yet."""
    if any(key not in config or OmegaConf.is_missing(config, key) for key in ("monitor", "mode", "tasks")):
        return None
    offers = config.get(OFFERS)
    plain: Any = {} if offers is None else OmegaConf.to_container(offers, resolve=True)
    return choose_monitor(str(config.monitor), str(config.mode), map(str, config.tasks or ()), plain)


@contextmanager
def settled_monitor(config: DictConfig) -> Iterator[None]:
    """Inside of the block, `monitor`, `mode` and all that refers to them have the values that `auto` stands for."""
    found = chosen_monitor(config) or ()
    chosen = dict(zip(("monitor", "mode"), found, strict=False))
    auto = {key: AUTO for key in chosen if config[key] == AUTO}
    with flag_override(config, ["readonly", "struct"], [False, False]):
        config.update({key: chosen[key] for key in auto})
        try:
            yield
        finally:
            config.update(auto)
