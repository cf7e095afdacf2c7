"""Hydra as `hydra.main` sets it up: without a command line, and composing once; depends on Hydra's private parts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omegaconf import DictConfig

from tandem.config.hydra_internals import report_change
from tandem.errors import ConfigError

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

    Application = Hydra


AS_RUN = "hydra.mode=RUN"
"""The override that Hydra adds where neither the command nor a file says the mode."""

_MARK = "_composes_once_by_tandem"

Remembered = tuple[str | None, list[str], DictConfig | None]
"""Name, overrides, and what was composed of them."""


@contextmanager
def own_application(main: Path, further: Sequence[Path] = ()) -> "Iterator[Application]":
    """Hydra as `hydra.main` sets it up for a command, in a program that may use Hydra itself, such as a notebook.

    At the end, everything that Hydra keeps for the whole process is as it was.

    Args:
        main: folder of the primary configuration.
        further: folders of the user's own configurations, as `--config-dir` names them.

    Raises:
        ConfigError: this version of Hydra has no such parts.
    """
    try:
        from hydra import version
        from hydra._internal.hydra import Hydra
        from hydra._internal.utils import create_config_search_path
        from hydra.core.config_search_path import SearchPathQuery
        from hydra.core.config_store import ConfigStore
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.hydra_config import HydraConfig
        from hydra.core.plugins import Plugins
        from hydra.core.utils import JobRuntime

        Plugins.instance()  # imports every installed launcher
        launchers = ConfigStore.instance().repo["hydra"]["launcher"]
        base, name = version.VersionBase.instance(), JobRuntime.instance().get("name")
        before = (base.version_base, GlobalHydra.instance().hydra, HydraConfig.instance().cfg, dict(launchers))
    except (ImportError, AttributeError, KeyError) as error:
        import hydra

        raise ConfigError(
            f"Hydra {hydra.__version__} sets up its application in another way ({error}); install hydra-core 1.3"
        ) from error
    try:
        GlobalHydra.instance().clear()
        version.setbase("1.3")
        search = create_config_search_path(str(main))
        for folder in further:
            search.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        yield Hydra.create_main_hydra2(task_name="tandem", config_search_path=search)
    finally:
        base.version_base, GlobalHydra.instance().hydra, HydraConfig.instance().cfg, known = before
        launchers.update(known)
        JobRuntime.instance().set("name", name)


def compose_once() -> None:
    """Makes Hydra compose the configuration of a run once in this process; may be called again.

    Hydra does it twice: to see whether the command is a sweep, and to run it. The second configuration of a run is the
    first one with `hydra.mode=RUN`, which Hydra adds. A sweep is composed as before, and so is everything after a
    mistake, or where a newer Hydra asks in another way.
    """
    try:
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from hydra.types import RunMode

        loader: Any = ConfigLoaderImpl
        if vars(loader).get(_MARK):
            return
        whole: Callable[..., DictConfig] = loader.load_configuration
    except (ImportError, AttributeError) as error:
        report_change("its loader of configurations", error, "a command starts later")
        return

    def load(self: Any, config_name: str | None, overrides: list[str], run_mode: Any, **options: Any) -> DictConfig:
        if run_mode is RunMode.MULTIRUN and options.get("validate_sweep_overrides") is False:
            return _asked_for_mode(self, config_name, overrides, **options)
        name, words, config = cast(Remembered, vars(self).pop("_remembered", (None, [], None)))
        if config is None or run_mode is not RunMode.RUN or (name, [*words, AS_RUN]) != (config_name, overrides):
            return whole(self, config_name, overrides, run_mode, **options)
        config.hydra.mode = RunMode.RUN
        config.hydra.overrides.hydra.append(AS_RUN)
        return config

    def _asked_for_mode(self: Any, config_name: str | None, overrides: list[str], **options: Any) -> DictConfig:
        """What Hydra reads `hydra.mode` of, and nothing else; it adds `AS_RUN` to these overrides afterwards."""
        try:
            config = whole(self, config_name, overrides, RunMode.RUN, **{**options, "validate_sweep_overrides": True})
        except Exception:  # a sweep, or a mistake, which Hydra reports
            return whole(self, config_name, overrides, RunMode.MULTIRUN, **options)
        if config.hydra.mode is None:
            self._remembered = (config_name, list(overrides), config)
        return config

    loader.load_configuration = update_wrapper(load, whole)
    setattr(loader, _MARK, True)
