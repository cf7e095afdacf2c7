"""Hydra as `hydra.main` sets it up, without a command line; depends on Hydra's private parts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.errors import ConfigError

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

    Application = Hydra


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
