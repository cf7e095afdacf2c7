"""The command line: runs a task under Hydra, prints every expected error in one line, and sets the exit code."""

import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import DictConfig, OmegaConf

import tandem
from tandem.config.hydra_application import compose_once
from tandem.config.hydra_internals import check_directory, share_store
from tandem.config.hydra_section import guard_hydra
from tandem.config.own_paths import use_cache
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.config.slots import own_modules_remembered
from tandem.config.suggest import explain
from tandem.config.typed import HELP, flags_last, folders_of, home_expanded, overrides_of
from tandem.distributed.world import ElsewhereError, world
from tandem.errors import ConfigError, DataError, TandemError
from tandem.jobs import SWEEP_VARIABLE, RunningElsewhere, one_line, run_job
from tandem.jobs.job_process import FOLDER_VARIABLE
from tandem.jobs.outcome import BUSY
from tandem.jobs.process import PARENT_VARIABLE, follow_parent
from tandem.jobs.refused import is_new, remove_refused_job
from tandem.utils.console import announce, silence, warnings_logged
from tandem.utils.ending import end_at_once
from tandem.utils.names import printable
from tandem.utils.signals import exit_code, install, kept

log = logging.getLogger(__name__)

FULL_ERRORS = "HYDRA_FULL_ERROR"
"""Hydra's environment variable for full tracebacks; respected if the user sets it."""

SWEEPS = ("-m", "--multirun", "hydra.mode=multirun")
"""Arguments that turn a command into a sweep, in lower case."""


def run(
    task: Callable[[DictConfig, Path], Any],
    config_name: str,
    on_interrupt: str = "interrupted; rerun the same command to resume",
    processes: Callable[[Mapping[str, Any]], int] | None = None,
) -> None:
    """Runs a task under Hydra, alone or as the jobs of a multirun, and exits with 1 if something failed.

    Args:
        task: called with the job's configuration and folder; returns the job's objective.
        config_name: the primary configuration in the shipped folder.
        on_interrupt: the message after Ctrl-C, or a signal that ends the command.
        processes: checks a configuration for the processes that torchrun or srun has started together with this one;
            None: the task is for one process.
    """
    _check_processes(processes is not None)
    _announce(config_name)
    verbose = os.environ.get(FULL_ERRORS) == "1"
    job = _as_job(task, verbose, processes)
    job.command = _module(task)  # type: ignore[attr-defined]  # for launchers that start a process for each job
    try:
        follow_parent()
        _start(job, config_name, verbose, on_interrupt)
    except KeyboardInterrupt as stop:
        _fail(on_interrupt, exit_code(stop))


def run_tool(task: Callable[[dict[str, Any]], None], config_name: str, on_interrupt: str = "interrupted") -> None:
    """Runs a command that works on finished runs or on data, and has no run folder.

    Args:
        task: called with the resolved configuration.
        config_name: the primary configuration in the shipped folder; it includes `tool`.
        on_interrupt: the message after Ctrl-C, or a signal that ends the command.
    """
    _check_processes(several=False)
    if sweep := _sweep_word():  # before Hydra creates a folder for a sweep
        _fail(f"{sweep} is for training; give this command one value for each key")
    _announce(config_name)
    verbose = os.environ.get(FULL_ERRORS) == "1"

    def job(config: DictConfig) -> None:
        try:
            with warnings_logged():
                task(resolve(config))
        except Exception as error:  # here, because Hydra would first print a line of its own
            if verbose:
                traceback.print_exception(error)
            _fail(one_line(error))

    _start(job, config_name, verbose, on_interrupt)


def _sweep_word() -> str:
    """The argument that makes a sweep of the command; empty if there is none."""
    return next((word for word in sys.argv[1:] if word.lstrip("+").lower() in SWEEPS), "")


def _check_processes(several: bool) -> None:
    """Refuses several processes where one does the work; of those of a run, only rank 0 prints, logs and has files."""
    try:
        here = world()
    except TandemError as error:
        _fail(one_line(error))
    if here.rank:
        silence()
        sys.argv += ["hydra.job_logging.root=null", "hydra.hydra_logging.root=null", "hydra.output_subdir=null"]
    if here.size > 1 and not several:
        _fail(f"{here.starter} started {here.size} processes, but this command is one; start it without {here.starter}")
    if here.size > 1 and _sweep_word() and SWEEP_VARIABLE not in os.environ:  # a job of a sweep has the word as well
        _fail(
            f"{here.starter} started {here.size} processes, but a sweep is one, which starts its jobs; start it "
            f"without {here.starter}, with hydra/launcher=..."
        )


def _announce(config_name: str) -> None:
    """Says at once, in a terminal, that the command has started: libraries take seconds to import."""
    if world().rank:
        return
    words = sys.argv[1:]
    asks = [word for word in words if word.partition("=")[0] in (*HELP, "--version", "--cfg", "-c", "--hydra-help")]
    if PARENT_VARIABLE not in os.environ and not asks:
        announce(f"tandem {config_name}: {' '.join(words) or 'as configured'}")


def _start(job: Callable[[DictConfig], Any], config_name: str, verbose: bool, on_interrupt: str) -> None:
    """Lets Hydra compose the configuration and call the job; prints every expected error in one line."""
    import hydra

    if "--version" in sys.argv[1:]:  # instead of Hydra's own version
        sys.stdout.write(f"{version_line()}\n")
        raise SystemExit(0)
    sys.argv[1:] = flags_last([home_expanded(word) for word in sys.argv[1:]])
    if HELP & set(sys.argv[1:]):
        _help(config_name)
    if any(word.partition("=")[0] == "--experimental-rerun" for word in sys.argv[1:]):
        _fail("--experimental-rerun reads a pickle, which can run any code; type the command again instead")
    share_store()
    compose_once()
    # Hydra then raises instead of printing, so that the error can be printed in one line here
    os.environ[FULL_ERRORS] = "1"
    register(config_name)
    job.__module__ = "tandem.cli"  # Hydra names the job after the module; its log file is named in conf instead
    application = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(job)
    try:
        guard_hydra()
        use_cache()
        with own_modules_remembered(), kept():
            install()
            application()
        end_at_once()
    except KeyboardInterrupt as stop:
        _fail(on_interrupt, exit_code(stop))
    except Exception as error:  # jobs of `run` handle their own errors, so this one is from composing
        if verbose:
            raise
        _fail(_explained(error, config_name))


def _help(config_name: str) -> NoReturn:
    """Prints the help, instead of Hydra's own: a page, or what the other words on the command line name."""
    from tandem.config.help_text import help_text

    try:
        sys.stdout.write(f"{help_text(config_name, overrides_of(sys.argv[1:]), folders_of(sys.argv[1:]))}\n")
    except TandemError as error:
        _fail(one_line(error))
    raise SystemExit(0)


def _explained(error: Exception, config_name: str) -> str:
    """An error of composing in one line; one of tandem may have been raised inside a reference."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, TandemError):
        inner = inner.__cause__ or inner.__context__
    return explain(error, sys.argv[1:], config_name) if inner is None else one_line(inner)


def _module(task: Callable[[DictConfig, Path], Any]) -> str | None:
    """The module that runs a task as `python -m MODULE`; None if there is none."""
    if not inspect.isfunction(task):
        return None
    if task.__module__ != "__main__":
        package = task.__module__.rpartition(".")[0]
        return package if package and find_spec(f"{package}.__main__") else task.__module__
    spec = sys.modules["__main__"].__spec__
    return None if spec is None else spec.name


def version_line() -> str:
    """Returns the name and version, as `--version` prints them."""
    return f"{tandem.DISTRIBUTION} {tandem.__version__}"


def _as_job(
    task: Callable[[DictConfig, Path], Any],
    verbose: bool,
    processes: Callable[[Mapping[str, Any]], int] | None = None,
) -> Callable[[DictConfig], Any]:
    """The function that Hydra calls for each job. A failure ends the process, but not a sweep."""

    def job(config: DictConfig) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        hydra_config = HydraConfig.get()
        folder = Path(hydra_config.runtime.output_dir)
        sweep = hydra_config.mode == RunMode.MULTIRUN
        new = not sweep and SWEEP_VARIABLE not in os.environ and is_new(folder)
        number = 0 if OmegaConf.is_missing(hydra_config.job, "num") else int(hydra_config.job.num)
        try:
            check_directory(hydra_config.job.chdir)
            _check_folder(folder)
            if processes is not None and world().size > 1:  # before the lock, which rank 0 alone takes
                _check_together(processes, config)
            return run_job(task, config, folder, list(hydra_config.overrides.task), number)
        except RunningElsewhere as error:
            if not sweep:  # the log file belongs to the other process
                _fail(str(error), BUSY if SWEEP_VARIABLE in os.environ else 1)
            log.warning("%s", error)
            return error
        except Exception as error:
            _report(error, folder, verbose)
            if sweep:
                return None
            if new and not world().rank and isinstance(error, ConfigError | DataError):
                remove_refused_job(folder, config)
            raise SystemExit(1) from None

    return job


def _check_together(processes: Callable[[Mapping[str, Any]], int], config: DictConfig) -> None:
    """Checks a configuration for several processes; those above rank 0 end without a word that rank 0 says."""
    try:
        processes(resolve(config))
    except TandemError:
        if world().rank:
            raise SystemExit(1) from None
        raise


def _check_folder(folder: Path) -> None:
    """Raises if the configuration has changed since the sweep began, so that this would be another job."""
    expected = os.environ.pop(FOLDER_VARIABLE, None)
    if expected is not None and Path(expected) != folder:
        raise ConfigError(
            f"the configuration has changed since the sweep began: the job's folder would now be {folder}; rerun it"
        )


def _report(error: Exception, folder: Path, verbose: bool) -> None:
    """Prints one line to stderr and to the job's log file; an unexpected error has the path of its traceback."""
    line = f"error: {one_line(error)}"
    if not isinstance(error, TandemError):
        line += f" (traceback: {folder / 'error.txt'})"
    if not isinstance(error, ElsewhereError):
        sys.stderr.write(f"{printable(line)}\n")
    if verbose:
        traceback.print_exception(error)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, line, (), None))


def _fail(message: str, code: int = 1) -> NoReturn:
    if not world().rank:  # all processes of a run fail for the same reason here
        sys.stderr.write(f"error: {printable(message)}\n")
    raise SystemExit(code)
