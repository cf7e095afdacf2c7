"""Who may set what in Hydra's own section: shipped files and the command line everything, other files only a few keys.

Hydra imports and calls what its section names (callbacks, loggers, launcher, sweeper) and sets environment variables,
before a command sees its configuration. So each file is checked while Hydra composes (see `guard_hydra`), by where it
was found. Files from `--config-dir`, `--config-path` and `hydra.searchpath`, and the overrides in a paper's archive,
may set directories, the mode, what a sweep varies, and the launcher with the resources it asks for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from tandem.config.hydra_internals import Checks, guard_loader, loader_guarded
from tandem.config.own_paths import fill
from tandem.config.shipped import config_folder
from tandem.config.slots import ALLOW_VARIABLE
from tandem.errors import ConfigError

LAUNCHER_OPTIONS = (
    *("account", "array_parallelism", "constraint", "cpus", "cpus_per_task", "devices", "exclude", "gpus"),
    *("gpus_per_node", "gres", "keep_going", "max_num_timeout", "mem_gb", "n_jobs", "nodes", "partition", "qos"),
    *("retries", "signal_delay_s", "tasks_per_node", "threads", "timeout_min"),
)
"""Amounts and places in a queue; the others name commands, programs' options, addresses or folders."""

OPEN = (
    *("hydra.mode", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"),
    *("hydra.sweeper.params", "hydra.sweeper.max_batch_size"),
    *(f"hydra.launcher.{option}" for option in LAUNCHER_OPTIONS),
)
"""Keys that any file may set, with what lies below them."""

OPEN_GROUPS = ("hydra/launcher",)
"""Groups of which any file may choose an option; a launcher's `_target_` is in the shipped files only."""

WAY_OUT = "other files may set directories, mode, sweeper.params and launchers; type it on the command line instead"


def guard_hydra() -> None:
    """Makes Hydra check its own section while it composes, and fill a person's own paths in, in this process.

    May be called again.

    Raises:
        ConfigError: this version of Hydra cannot be guarded.
    """
    guard_loader(_checks())


def hydra_guarded() -> AbstractContextManager[None]:
    """As `guard_hydra`, for the time of a `with` block alone."""
    return loader_guarded(_checks())


def _checks() -> Checks:
    return Checks(check_package, check_file, _finish, _check_job)


def _finish(config: Any) -> None:
    check_environment(config)
    fill(config)


def _check_job(words: Iterable[str]) -> None:
    check_words(words, "hydra.sweeper.params")


def check_file(read: Any, placed: Callable[[], Any], name: str) -> None:
    """Checks a file that is not a shipped one: its content, and what its defaults list chooses.

    Args:
        read: Hydra's result of reading the file.
        placed: returns its content at its place in the configuration.
        name: the file's name in its group, for messages.

    Raises:
        ConfigError: it sets or chooses what is not open.
    """
    if is_shipped(read.provider, read.path):
        return
    where = f"'{name}' of {read.path.removeprefix('file://')}"
    _check_choices(read.defaults_list or (), where)
    check_section(_plain(placed()), where)


def check_environment(config: Any) -> None:
    """Refuses a composed configuration that would admit further modules.

    Raises:
        ConfigError: it sets `TANDEM_ALLOW` for its jobs.
    """
    if ALLOW_VARIABLE in (config.hydra.job.env_set or {}):
        raise ConfigError(
            f"hydra.job.env_set.{ALLOW_VARIABLE} is not allowed; set {ALLOW_VARIABLE} in the environment of the command"
        )


def check_package(path: str, package: str) -> None:
    """Refuses a file that a defaults list or an override puts into Hydra's section, but that does not belong there.

    Raises:
        ConfigError: the file belongs elsewhere.
    """
    inside = package == "hydra" or package.startswith("hydra.")
    own = path.startswith("hydra/") and package in ("hydra", path.rpartition("/")[0].replace("/", "."))
    typed = path.startswith("schema_launcher_") and package == "hydra.launcher"
    if inside and not (own or typed or path == "hydra/config"):
        raise ConfigError(f"'{path}' cannot be put into Hydra's own section ({package}); choose another @package")


def is_shipped(provider: str, path: str) -> bool:
    """Whether a file is tandem's, Hydra's or an installed plugin's.

    Args:
        provider: who named the place, in Hydra's words.
        path: of the place, with its scheme.

    Example:
        >>> is_shipped("hydra", "pkg://hydra.conf"), is_shipped("command-line", "file:///somewhere")
        (True, False)
    """
    installed = path.startswith(("pkg://hydra.", "pkg://hydra_plugins."))
    named = provider == "command-line" or provider.startswith("hydra.searchpath")
    own = path in (f"file://{config_folder()}", "pkg://tandem.conf")
    return path.startswith("structured://") or own or (installed and not named)


def check_section(config: Any, where: str) -> None:
    """Refuses what a file of the user's, or of someone else, may not set of Hydra's section.

    Args:
        config: the file's content in its place, as plain containers, references unresolved.
        where: the file, for messages.

    Raises:
        ConfigError: a key that is not open.

    Example:
        >>> check_section({"seed": 1, "hydra": {"mode": "MULTIRUN"}}, "mine.yaml")
        >>> check_section({"hydra": {"job": {"env_set": {"A": "b"}}}}, "mine.yaml")
        Traceback (most recent call last):
        tandem.errors.ConfigError: hydra.job.env_set.A cannot be set by mine.yaml; other files may set directories, ...
    """
    if not isinstance(config, Mapping):
        return
    for key, value in config.items():
        if str(key) == "hydra" or str(key).startswith("hydra."):
            for leaf in _leaves(value, str(key)):
                if not _is_open(leaf):
                    raise ConfigError(f"{leaf} cannot be set by {where}; {WAY_OUT}")


def check_words(words: Iterable[str], where: str) -> None:
    """Refuses overrides that are not the person's own, such as those in a paper's archive, and flags among them.

    Args:
        words: `key=value`.
        where: what they were found in, for messages.

    Raises:
        ConfigError: one that sets more of Hydra's section than is open, or that is no override.

    Example:
        >>> check_words(["seed=1", "+hydra.job.env_set.A=b"], "the archive")
        Traceback (most recent call last):
        tandem.errors.ConfigError: the override '+hydra.job.env_set.A=b' of the archive sets Hydra's own section; ...
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for word in words:
        if word.startswith("-"):
            raise ConfigError(f"{word!r} of {where} is a flag, but must be an override such as seed=1; remove it")
        try:
            override = parser.parse_override(word)
        except HydraException as error:
            raise ConfigError(f"{word!r} of {where} is no override that Hydra reads; correct or remove it") from error
        key = override.key_or_group
        value = override.value() if not override.is_sweep_override() else None
        places = [key, override.package or ""]
        if any(part == "hydra" or part.startswith(("hydra.", "hydra/")) for part in places):
            # what lies in such a folder is checked as files are; other schemes import a package
            named = not override.package and (key in OPEN_GROUPS or (key == "hydra.searchpath" and _are_folders(value)))
            if not named and not all(_is_open(leaf) for leaf in _leaves(value, key)):
                raise ConfigError(f"the override {word!r} of {where} sets Hydra's own section; {WAY_OUT}")


def _check_choices(defaults: Iterable[Any], where: str) -> None:
    for default in defaults:
        group = str(getattr(default, "group", None) or "").lstrip("/")
        if group.startswith("hydra/") and group not in OPEN_GROUPS:
            raise ConfigError(f"{group} cannot be chosen by {where}; {WAY_OUT}")


def _are_folders(value: Any) -> bool:
    return isinstance(value, list) and all(str(place).startswith(("file://", "'file://")) for place in value)


def _is_open(key: str) -> bool:
    return any(key == known or key.startswith(f"{known}.") for known in OPEN)


def _leaves(value: Any, key: str) -> Iterator[str]:
    """Dotted keys of what is not a filled dict."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}")
    elif not (isinstance(value, Mapping) and any(known.startswith(f"{key}.") for known in OPEN)):
        yield key


def _plain(config: Any) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=False) if OmegaConf.is_config(config) else config
