"""The command line: Hydra around a task, with every foreseeable error as one line and an honest exit code."""

import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import DictConfig, OmegaConf

from tandem.config.hydra_section import guard_hydra
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.config.slots import own_modules_remembered
from tandem.config.suggest import explain
from tandem.errors import ConfigError, TandemError
from tandem.jobs import SWEEP_VARIABLE, RunningElsewhere, one_line, run_job
from tandem.jobs.outcome import BUSY
from tandem.jobs.process import FOLDER_VARIABLE, follow_parent
from tandem.utils.names import printable

log = logging.getLogger(__name__)

FULL_ERRORS = "HYDRA_FULL_ERROR"
"""Hydra's own switch for whole tracebacks; honoured where the user has set it."""

VALUED = {"-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"}
"""Hydra's flags that take the next word as their value."""

SWEEPS = ("-m", "--multirun", "hydra.mode=multirun")
"""What makes a sweep of a command, in small letters."""


def run(
    task: Callable[[DictConfig, Path], Any],
    config_name: str,
    on_interrupt: str = "interrupted; the same command goes on where it stopped",
) -> None:
    """Runs a task under Hydra, alone or as the jobs of a multirun, and exits with 1 where something failed.

    Args:
        task: called with the job's configuration and folder; what it returns is the job's objective.
        config_name: the primary configuration in the shipped folder.
        on_interrupt: said after Ctrl-C.
    """
    verbose = os.environ.get(FULL_ERRORS) == "1"
    job = _as_job(task, verbose)
    job.command = _module(task)  # type: ignore[attr-defined]  # read by launchers that give each job a process
    try:
        follow_parent()
        _start(job, config_name, verbose, on_interrupt)
    except KeyboardInterrupt:
        _fail(on_interrupt, code=130)


def run_tool(task: Callable[[dict[str, Any]], None], config_name: str, on_interrupt: str = "interrupted") -> None:
    """Runs a command that works on finished runs or on data, and leaves no folder of its own.

    Args:
        task: called with the resolved configuration.
        config_name: the primary configuration in the shipped folder; it takes in `tool`.
        on_interrupt: said after Ctrl-C.
    """
    for word in sys.argv[1:]:  # before Hydra makes a folder for a sweep
        if word.lstrip("+").lower() in SWEEPS:
            _fail(f"{word} is for training; give this command one value for each key")
    verbose = os.environ.get(FULL_ERRORS) == "1"

    def job(config: DictConfig) -> None:
        try:
            task(resolve(config))
        except Exception as error:  # here, since Hydra would print a line of its own first
            if verbose:
                traceback.print_exception(error)
            _fail(one_line(error))

    _start(job, config_name, verbose, on_interrupt)


def _start(job: Callable[[DictConfig], Any], config_name: str, verbose: bool, on_interrupt: str) -> None:
    """Lets Hydra compose the configuration and call the job; every foreseeable error becomes one line."""
    import hydra
    from hydra.core.config_store import ConfigStore

    sys.argv[1:] = flags_last(sys.argv[1:])
    if any(word.partition("=")[0] == "--experimental-rerun" for word in sys.argv[1:]):
        _fail("--experimental-rerun reads a pickle, which can hold any program; type the command again instead")
    # Hydra copies its store whenever it composes a configuration or lists a group, and copies again what it takes out
    store = ConfigStore.instance()
    vars(store)["__deepcopy__"] = partial(_shared, store)
    # Hydra then raises instead of printing, so that the message can be made into one line here.
    os.environ[FULL_ERRORS] = "1"
    register(config_name)
    guard_hydra()
    job.__module__ = "tandem.cli"  # Hydra names the job after the module; its log file is named in conf instead
    application = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(job)
    try:
        with own_modules_remembered():
            application()
    except KeyboardInterrupt:
        _fail(on_interrupt, code=130)
    except Exception as error:  # a job of `run` keeps its own errors, so this one arose while it was composed
        if verbose:
            raise
        _fail(one_line(error) if isinstance(error, TandemError) else explain(error))


def _module(task: Callable[[DictConfig, Path], Any]) -> str | None:
    """The module that runs a task as `python -m MODULE`; None where there is none."""
    if not inspect.isfunction(task):
        return None
    if task.__module__ != "__main__":
        package = task.__module__.rpartition(".")[0]
        return package if package and find_spec(f"{package}.__main__") else task.__module__
    spec = sys.modules["__main__"].__spec__
    return None if spec is None else spec.name


def _shared(store: Any, memo: dict[int, Any]) -> Any:
    return store


def flags_last(words: Sequence[str]) -> list[str]:
    """The words of a command line with Hydra's flags after the overrides: in between, its parser stumbles over them.

    Args:
        words: without the program's name.

    Example:
        >>> flags_last(["seed=1", "-m", "--config-dir", "mine", "lr=1,2"])
        ['seed=1', 'lr=1,2', '-m', '--config-dir', 'mine']
    """
    overrides: list[str] = []
    flags: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        (flags if word.startswith("-") or before in VALUED else overrides).append(word)
    return [*overrides, *flags]


def _as_job(task: Callable[[DictConfig, Path], Any], verbose: bool) -> Callable[[DictConfig], Any]:
    """The function that Hydra calls for each job. In a sweep a failure stays in its job; alone it ends the process."""

    def job(config: DictConfig) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        hydra_config = HydraConfig.get()
        folder = Path(hydra_config.runtime.output_dir)
        sweep = hydra_config.mode == RunMode.MULTIRUN
        number = 0 if OmegaConf.is_missing(hydra_config.job, "num") else int(hydra_config.job.num)
        try:
            _check_folder(folder)
            return run_job(task, config, folder, list(hydra_config.overrides.task), number)
        except RunningElsewhere as error:
            if not sweep:  # the log belongs to the other process
                _fail(str(error), BUSY if SWEEP_VARIABLE in os.environ else 1)
            log.warning("%s", error)
            return error
        except Exception as error:
            _report(error, folder, verbose)
            if sweep:
                return None
            raise SystemExit(1) from None

    return job


def _check_folder(folder: Path) -> None:
    """Refuses a job of a sweep that has become another one since the sweep began."""
    expected = os.environ.pop(FOLDER_VARIABLE, None)
    if expected is not None and Path(expected) != folder:
        raise ConfigError(
            f"the configuration has changed since the sweep began: this would now be {folder}; start the sweep again"
        )


def _report(error: Exception, folder: Path, verbose: bool) -> None:
    """One line on stderr and in the job's log file; the traceback of what nobody foresaw is pointed at."""
    line = f"error: {one_line(error)}"
    if not isinstance(error, TandemError):
        line += f" (traceback: {folder / 'error.txt'})"
    sys.stderr.write(f"{printable(line)}\n")
    if verbose:
        traceback.print_exception(error)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, line, (), None))


def _fail(message: str, code: int = 1) -> NoReturn:
    sys.stderr.write(f"error: {printable(message)}\n")
    raise SystemExit(code)
