"""A person's own paths and trackers, so that nobody types them each time; no result depends on them.

They are filled in while Hydra composes, behind everything that is typed or chosen, and so are in no list of overrides.
A run's hash is the one that it has with the same path typed.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tandem.config.shipped import config_folder
from tandem.config.suggest import nearest
from tandem.errors import ConfigError

FILE_VARIABLE = "TANDEM_LOCAL"
"""Environment variable with the file to read; empty: none."""

DATA_VARIABLE = "TANDEM_DATA"
"""Environment variable with the folder of the data sets: `data.root` of `data=busi` is `busi` in it, if that exists."""

CACHE_VARIABLE = "TANDEM_CACHE"

LOCAL = "local"
"""Folder of the shipped configuration, in a checkout, whose files git does not see."""

USUAL = ("tensorboard",)
"""The trackers of `train.yaml`."""

KEYS = ("data.OPTION.root", "cache", "logger", "trackers.NAME.OPTION")
"""What such a file may set."""


@dataclass(frozen=True)
class OwnPaths:
    """What a person has set for themselves.

    Attributes:
        roots: `data.root` by the option of `data`.
        cache: folder of decoded images; None: not set.
        logger: the trackers to use where nothing else is chosen; None: not set.
        trackers: options of trackers, by name.
    """

    roots: Mapping[str, str] = field(default_factory=dict)
    cache: str | None = None
    logger: tuple[str, ...] | None = None
    trackers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def own_files() -> list[Path]:
    """The files that are read, from the first place that has any.

    The places are the file of `TANDEM_LOCAL`, `conf/local` of a checkout, and `~/.config/tandem/local.yaml`
    (`$XDG_CONFIG_HOME`).

    Raises:
        ConfigError: `TANDEM_LOCAL` names no file.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named is not None:
        file = Path(named).expanduser()
        if named and not file.is_file():
            raise ConfigError(f"{FILE_VARIABLE}={named} is no file; correct it, or leave it empty for none")
        return [file] if named else []
    if found := sorted((config_folder() / LOCAL).glob("*.yaml")):
        return found
    file = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "tandem" / "local.yaml"
    return [file] if file.is_file() else []


def read_own() -> OwnPaths:
    """Reads a person's files, a later one over an earlier one.

    Raises:
        ConfigError: a file cannot be read, or sets what it may not; in one line, with file and key.
    """
    found = OwnPaths()
    for file in own_files():
        one = _read(file)
        found = OwnPaths(
            {**found.roots, **one.roots},
            one.cache or found.cache,
            found.logger if one.logger is None else one.logger,
            {**found.trackers, **one.trackers},
        )
    return found


def use_cache() -> None:
    """Makes a person's own cache that of this process and its jobs, unless `TANDEM_CACHE` is set."""
    if cache := read_own().cache:
        os.environ.setdefault(CACHE_VARIABLE, str(Path(cache).expanduser()))


def fill(config: Any) -> None:
    """Fills a composed configuration in: the root of each data set, and trackers, where nothing else was typed.

    Args:
        config: what Hydra composed, with its own section.

    Raises:
        ConfigError: a person's file is faulty.
    """
    from omegaconf import OmegaConf, open_dict

    own = read_own()
    typed = {str(word).lstrip("+~").partition("=")[0] for word in _plain(config.hydra.overrides.task)}
    with open_dict(config):
        for place, option in _plain(config.hydra.runtime.choices).items():
            group, _, package = place.partition("@")
            node: Any = OmegaConf.select(config, package or "data") if group == "data" and option else None
            if OmegaConf.is_dict(node) and f"{package or 'data'}.root" not in typed:
                root = own_root(str(option), own)
                if root is not None and _is_default(node, str(option)):
                    node["root"] = root
        if "logger" in config:
            _fill_trackers(config, own, typed)


def own_root(option: str, own: OwnPaths) -> str | None:
    """The root of a data set: in the person's file, or below `TANDEM_DATA`; None if neither has one.

    Args:
        option: of `data`.
        own: what the file says.
    """
    if option in own.roots:
        return own.roots[option]
    below = os.environ.get(DATA_VARIABLE)
    place = Path(below).expanduser().absolute() / option if below else None
    return str(place) if place is not None and place.exists() else None


def hint(key: str) -> str:
    """What to add to a message about a value that is missing: where it was looked for.

    Args:
        key: dotted key that has no value.
    """
    folder = os.environ.get(DATA_VARIABLE)
    if not folder or not key.endswith(".root"):
        return ""
    return f"; the folder of {DATA_VARIABLE} ({folder}) has none of this name, and {FILE_VARIABLE}'s file names none"


def _is_default(node: Any, option: str) -> bool:
    """Whether the root of a data set is missing, or is that of the shipped option."""
    from omegaconf import OmegaConf

    if OmegaConf.is_missing(node, "root"):
        return True
    file = config_folder() / "data" / f"{option}.yaml"
    shipped = _plain(OmegaConf.load(file)) if file.is_file() else {}
    raw = _plain(node)
    return "root" in shipped and "root" in raw and bool(shipped["root"] == raw["root"])


def _plain(node: Any) -> Any:
    """As plain containers, with references as they are written."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(node, resolve=False)


def _fill_trackers(config: Any, own: OwnPaths, typed: set[str]) -> None:
    from omegaconf import OmegaConf

    if own.logger is not None and "logger" not in typed and _plain(config.logger) == _plain(_shipped_trackers(USUAL)):
        config.logger = _shipped_trackers(own.logger)
    for name, options in own.trackers.items():
        if OmegaConf.is_dict(config.logger) and name in config.logger:
            for key, value in options.items():
                if f"logger.{name}.{key}" not in typed:
                    config.logger[name][key] = value


def _shipped_trackers(names: Iterable[str]) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.merge(*(OmegaConf.load(config_folder() / "logger" / f"{name}.yaml") for name in names), {})


def _read(file: Path) -> OwnPaths:
    from omegaconf import OmegaConf
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        found: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except (OSError, ValueError, YAMLError) as error:
        raise ConfigError(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{file} is a list, but must have the keys {', '.join(KEYS)}")
    for key, value in _leaves(found):
        _check(file, key, value)
    logger = found.get("logger")
    return OwnPaths(
        roots={str(option): str(node["root"]) for option, node in (found.get("data") or {}).items()},
        cache=found.get("cache"),
        logger=None if logger is None else tuple(name for name in _words(logger) if name != "none"),
        trackers=found.get("trackers") or {},
    )


def _check(file: Path, key: str, value: Any) -> None:
    """Refuses a key that is none of `KEYS`, or a value that is not of its kind."""
    parts = key.split(".")
    shape = [pattern for pattern in KEYS if _fits(parts, pattern.split("."))]
    if not shape or "_target_" in parts:
        raise ConfigError(
            f"{file} sets {key}, but may set only {', '.join(KEYS)}: nothing that changes a result; put it into an "
            "experiment, or type it"
        )
    if shape[0] in ("data.OPTION.root", "cache") and (not isinstance(value, str) or not value):
        raise ConfigError(f"{file}: {key} is {value!r}, but must be the path of a folder")
    if shape[0] == "logger":
        valid = [path.stem for path in (config_folder() / "logger").glob("*.yaml")]
        for name in _words(value):
            if name not in valid:
                raise ConfigError(f"{file}: logger has '{name}': {nearest(name, valid)}")


def _fits(parts: list[str], pattern: list[str]) -> bool:
    same = len(parts) == len(pattern) or (pattern[0] == "trackers" and len(parts) > len(pattern))
    return same and all(one == other or other.isupper() for one, other in zip(parts, pattern, strict=False))


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _words(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else [str(word) for word in given or ()]
