"""Everything that depends on Hydra's private parts.

A newer Hydra may drop or change a private part. The guard of Hydra's section then refuses to start. Every other use has
a fallback to Hydra's public way: one line per process is logged, and the results stay the same, but composing many jobs
is slower.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from tandem.errors import ConfigError

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.override_parser.types import Override
    from hydra.experimental.callback import Callback
    from hydra.types import HydraContext

log = logging.getLogger(__name__)

REMEMBERED = 200
"""Maximum number of job configurations, and of base configurations, that a composer keeps: up to 1 MiB each."""

OVERRIDDEN = ("_parse_overrides_and_create_caching_repo", "_compose_config_from_defaults_list")
"""Private methods of Hydra's loader that the composer overrides."""

GUARDED = ("_load_single_config", "_process_config_searchpath", "_load_configuration_impl", "load_sweep_config")
"""Methods of Hydra's loader in which its own section is checked."""

_reported: set[str] = set()


class UnexpectedHydraError(Exception):
    """A private part of Hydra exists, but does not do what tandem expects."""


def report_change(part: str, error: Exception, effect: str) -> None:
    """Logs once per process that a private part of Hydra has changed."""
    if part in _reported:
        return
    _reported.add(part)
    import hydra

    reason = " ".join(f"{type(error).__name__}: {error}".split())
    log.warning("Hydra %s differs in %s (%s); %s", hydra.__version__, part, reason, effect)


# ---------------------------------------------------------------------------------------- the guard of Hydra's section


@dataclass(frozen=True)
class Checks:
    """What Hydra's loader calls while it composes; each function raises an error to refuse.

    Attributes:
        package: called with the path of a file and the package it goes to, before the file is read.
        file: called with what was read, a function that returns it at its place in the configuration, and its path.
        whole: called with the composed configuration, which it may complete.
        sweep: called with the overrides of a sweep's job.
    """

    package: Callable[[str, str], None]
    file: Callable[[Any, Callable[[], Any], str], None]
    whole: Callable[[Any], None]
    sweep: Callable[[Sequence[str]], None]


def guard_loader(checks: Checks) -> None:
    """Makes Hydra's loader, and each `JobComposer`, call these checks in this process; may be called again.

    Raises:
        ConfigError: a private part that the guard needs is missing in this version of Hydra.
    """
    try:
        from hydra._internal.config_loader_impl import ConfigLoaderImpl

        loader: Any = ConfigLoaderImpl  # loaders of a `JobComposer` are subclasses
        if getattr(loader, "_guarded_by_tandem", False):
            return
        single, searchpath, whole, sweep = (getattr(loader, name) for name in GUARDED)
        _ = loader._embed_result_config
    except (ImportError, AttributeError) as error:
        import hydra

        raise ConfigError(
            f"Hydra {hydra.__version__} composes in a way that tandem cannot check ({error}); install hydra-core 1.3"
        ) from error

    def load_single(self: Any, default: Any, repo: Any) -> Any:
        checks.package(str(default.config_path), str(default.package or ""))
        if (read := repo.load_config(default.config_path)) is not None:
            checks.file(read, lambda: self._embed_result_config(read, default.package).config, default.config_path)
        return single(self, default, repo)

    def process_searchpath(self: Any, config_name: Any, parsed_overrides: Any, repo: Any) -> None:
        primary = repo.load_config(config_path=config_name) if config_name is not None else None
        if primary is not None:
            checks.file(primary, lambda: primary.config, config_name)
        searchpath(self, config_name, parsed_overrides, repo)

    def load_whole(self: Any, *arguments: Any, **options: Any) -> Any:
        config = whole(self, *arguments, **options)
        checks.whole(config)
        return config

    def load_sweep(self: Any, master_config: Any, sweep_overrides: Any) -> Any:
        checks.sweep(sweep_overrides)
        return sweep(self, master_config, sweep_overrides)

    methods: tuple[Callable[..., Any], ...] = (load_single, process_searchpath, load_whole, load_sweep)
    for name, method in zip(GUARDED, methods, strict=True):
        setattr(loader, name, update_wrapper(method, getattr(loader, name)))
    loader._guarded_by_tandem = True


@contextmanager
def loader_guarded(checks: Checks) -> Iterator[None]:
    """As `guard_loader`, and at the end Hydra's loader is as it was: for programs that compose other files too."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    loader: Any = ConfigLoaderImpl
    before = {name: value for name in (*GUARDED, "_guarded_by_tandem") if (value := vars(loader).get(name)) is not None}
    guard_loader(checks)
    try:
        yield
    finally:
        for name in (*GUARDED, "_guarded_by_tandem"):
            if name in before:
                setattr(loader, name, before[name])
            elif name in vars(loader):
                delattr(loader, name)


# ----------------------------------------------------------------------------------------------- configurations of jobs


class JobComposer:
    """Composes the configurations of many jobs, several times faster than Hydra.

    Each file is read once, and jobs that differ only in values share one base configuration. The first configuration is
    compared with the one that Hydra composes. If they differ, or if a private part of Hydra has changed, Hydra composes
    every configuration. Hydra also reports the user's mistakes.

    A file that changes while jobs are composed counts as it was when a job first needed it.

    Args:
        hydras: Hydra's own loader, which is the fallback.
    """

    def __init__(self, hydras: "ConfigLoader") -> None:
        self.hydras = hydras
        self._checked = False
        self._fast: Any = None
        try:
            self._fast = make_fast_loader(hydras.get_search_path())
        except Exception as error:
            self._fall_back(error)

    def __getattr__(self, name: str) -> Any:
        """Whatever else Hydra asks its loader for."""
        return getattr(self.hydras, name)

    def load_configuration(self, config_name: str | None, overrides: list[str], **options: Any) -> DictConfig:
        """The configuration with these overrides; as Hydra's method of this name."""
        return self._load("load_configuration", config_name, overrides, **options)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The configuration of a sweep's job; as Hydra's method of this name."""
        return self._load("load_sweep_config", master_config, sweep_overrides)

    def _load(self, method: str, *arguments: Any, **options: Any) -> DictConfig:
        load: Callable[..., DictConfig] = partial(getattr(self.hydras, method), *arguments, **options)
        if self._fast is None:
            return load()
        try:
            return self._load_fast(method, load, *arguments, **options)
        except Exception as error:
            failure = error
        config = load()  # raises if the user made a mistake
        self._fall_back(failure)
        return config

    def _load_fast(self, method: str, load: Callable[[], DictConfig], *arguments: Any, **options: Any) -> DictConfig:
        config: DictConfig = getattr(self._fast, method)(*arguments, **options)
        if not self._checked:
            again = self._fast.load_configuration(*_as_composed(config), run_mode=_run_mode())
            expected = load()
            if not (_same(config, expected) and _same(again, expected)):
                raise UnexpectedHydraError("a configuration is not the one that Hydra composes")
            self._checked = True
        return config

    def _fall_back(self, error: Exception) -> None:
        self._fast = None
        report_change("its loader of configurations", error, "composing jobs takes longer")


def _run_mode() -> Any:
    from hydra.types import RunMode

    return RunMode.RUN


def _as_composed(config: DictConfig) -> tuple[str, list[str]]:
    """The name and the overrides that a configuration was composed from."""
    # as text: an override such as hydra.sweep.subdir=${hydra.job.num} has no value yet
    overrides: Any = OmegaConf.to_container(config.hydra.overrides, resolve=False)
    return config.hydra.job.config_name, [*overrides["hydra"], *overrides["task"]]


def _same(one: DictConfig, other: DictConfig) -> bool:
    plain, others = (OmegaConf.to_container(config, resolve=False) for config in (one, other))
    return plain == others and OmegaConf.is_struct(one) == OmegaConf.is_struct(other)


def make_fast_loader(search_path: Any) -> Any:
    """A subclass of Hydra's loader that shares files and base configurations among jobs.

    Args:
        search_path: where the files are.

    Raises:
        Exception: a private part is missing; what kind depends on Hydra.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
    from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.plugins.config_source import ConfigResult, ConfigSource

    for name in OVERRIDDEN:
        getattr(ConfigLoaderImpl, name)

    class Copies(CachingConfigRepository):
        """Copies of the files that were read, because merging changes them."""

        def __init__(self, files: IConfigRepository) -> None:
            self.files = files

        def load_config(self, config_path: str) -> ConfigResult | None:
            return copy.deepcopy(self.files.load_config(config_path))

        def get_schema_source(self) -> ConfigSource:
            return self.files.get_schema_source()

    class FastLoader(ConfigLoaderImpl):
        """Hydra's loader with three caches."""

        def __init__(self) -> None:
            super().__init__(search_path)
            self.files: dict[str, dict[str, ConfigResult | None]] = {}
            self.bases: dict[tuple[str | None, ...], DictConfig] = {}
            self.composed: dict[tuple[str, ...], DictConfig] = {}

        def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
            """The same object for the same overrides: Hydra asks to check the job, and again to run it."""
            key = tuple(sweep_overrides)
            if (config := self.composed.get(key)) is None:
                config = super().load_sweep_config(master_config, sweep_overrides)
                _keep(self.composed, key, config)
            return config

        def load_configuration(
            self, config_name: str | None, overrides: list[str], *arguments: Any, **options: Any
        ) -> DictConfig:
            parsed = OverridesParser.create().parse_overrides(overrides)
            values = _values(parsed)
            shared = [word for word, one in zip(overrides, parsed, strict=True) if one not in values]
            key = (config_name, *shared)
            if (base := self.bases.get(key)) is None:
                base = super().load_configuration(config_name, shared, *arguments, **options)
                _keep(self.bases, key, base)
            config = copy.deepcopy(base)
            self._apply_overrides_to_config(values, config)
            own = [one for one in parsed if not one.is_hydra_override()]
            config.hydra.overrides.task = [one.input_line for one in own]
            config.hydra.job.override_dirname = get_overrides_dirname(
                overrides=own, **config.hydra.job.config.override_dirname
            )
            return config

        def _parse_overrides_and_create_caching_repo(
            self, config_name: str | None, overrides: list[str]
        ) -> "tuple[list[Override], CachingConfigRepository]":
            parsed, repo = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
            places = " ".join(f"{place.scheme()}://{place.path}" for place in repo.get_sources())
            repo.cache = self.files.setdefault(places, repo.cache)  # `hydra.searchpath` can differ between jobs
            return parsed, repo

        def _compose_config_from_defaults_list(self, defaults: Any, repo: IConfigRepository) -> DictConfig:
            return super()._compose_config_from_defaults_list(defaults, Copies(repo))

    return FastLoader()


def _keep(cache: dict[Any, DictConfig], key: Any, config: DictConfig) -> None:
    if len(cache) < REMEMBERED:
        cache[key] = config


def _values(parsed: "Sequence[Override]") -> "list[Override]":
    """The overrides that Hydra applies last and that can be applied to a shared base: single values with a dotted key.

    None if something is deleted, or if the whole parent of a value is given too: then the order of the two matters.
    """
    values = [one for one in parsed if _is_value(one)]
    others = [one for one in parsed if not _is_value(one)]
    if any(one.is_delete() for one in others):
        return []
    parents = {one.key_or_group for one in others if isinstance(one.value(), dict | list)}
    return [one for one in values if one.key_or_group.partition(".")[0] not in parents]


def _is_value(override: "Override") -> bool:
    """Whether an override cannot choose an option of a group: it has a dotted key, or is the seed."""
    key = override.key_or_group
    plain = override.package is None and not override.is_delete() and not override.is_sweep_override()
    return plain and not override.is_hydra_override() and ("." in key or key == "seed") and "/" not in key


# ----------------------------------------------------------------------------------------- Hydra's store of typed nodes


def share_store() -> None:
    """Keeps Hydra from copying its whole store whenever it composes a configuration or lists a group.

    Hydra's repository of files copies everything that it refers to. Nodes that are taken out of the store are copied
    once more, so that sharing the store changes nothing.
    """
    from hydra.core.config_store import ConfigStore

    try:
        store = ConfigStore.instance()
        vars(store)["__deepcopy__"] = partial(_uncopied, store)
        if copy.deepcopy(store) is not store:
            raise UnexpectedHydraError("it is copied in another way")
    except Exception as error:
        report_change("its store of configurations", error, "composing takes longer")


def _uncopied(store: Any, memo: dict[int, Any]) -> Any:
    return store


def remove_launchers(names: Sequence[str]) -> None:
    """Removes launchers of other packages from Hydra's store; may be called again.

    Where such a package is installed, Hydra would check tandem's launcher of the same name against the other's types.

    Args:
        names: of the files, such as `ray.yaml`.
    """
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # imports every installed launcher
    try:
        launchers = ConfigStore.instance().repo["hydra"]["launcher"]
        for name in names:
            launchers.pop(name, None)
    except Exception as error:
        report_change("its store of launchers", error, "an installed launcher of another package may hide tandem's")


# -------------------------------------------------------------------------------------------------- a sweep's callbacks


def sweep_callbacks(context: "HydraContext") -> "Sequence[Callback]":
    """The callbacks of `hydra.callbacks` as objects; none, if a newer Hydra keeps them elsewhere."""
    try:
        return list(context.callbacks.callbacks)
    except Exception as error:
        report_change("its callbacks", error, "the summary of a sweep does not count jobs that were not started")
        return []


def check_directory(chdir: bool | None) -> None:
    """Rejects `hydra.job.chdir=true`: relative paths, which a run's hash holds, would then begin in the run's folder.

    Args:
        chdir: the option of Hydra.

    Raises:
        ConfigError: it is true.
    """
    if chdir:
        raise ConfigError(
            "hydra.job.chdir=true would make relative paths such as data.root begin in the run's folder; leave it out: "
            "tandem writes into the run's folder without it"
        )
