"""Trains a run in Python, in the folder and in the way of the command."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tandem.errors import ConfigError, DataError
from tandem.python.config import PRIMARY, Config, application, compose
from tandem.python.run import Run
from tandem.utils.console import ConsoleHandler, PrintableFormatter
from tandem.utils.lazy_imports import load_libraries


def fit(config: Config) -> Run:
    """Implements `tandem.fit`, its public name."""
    if not isinstance(config, Config):
        raise ConfigError(f"fit takes what tandem.compose returns, not a {type(config).__name__}; compose it first")
    now = compose(config.overrides, config.config_dir)
    if (now.hash, now.folder) != (config.hash, config.folder):  # a file of options or the working directory
        raise ConfigError(
            f"the configuration has changed since it was composed: its folder would now be {now.folder}, its hash "
            f"{now.hash}; compose it again"
        )
    words = [*config.overrides, "hydra.mode=RUN"]  # as the command adds it
    with application(config.config_dir) as hydra, _as_it_was():
        error = hydra.run(PRIMARY, _job, words, with_log_configuration=False).return_value
    if error is not None:
        raise error
    return Run(config.folder)


def _job(config: DictConfig) -> Exception | None:
    """What Hydra calls, as for the command: the same lock, state and results.

    Returns:
        An error; Hydra would print a line of its own for one that is raised.
    """
    from hydra.core.hydra_config import HydraConfig

    from tandem.config.hydra_internals import check_directory
    from tandem.config.resolve import resolve
    from tandem.jobs import run_job
    from tandem.jobs.refused import is_new, remove_refused_job
    from tandem.train.run import train_or_answer

    section = HydraConfig.get()
    folder = Path(section.runtime.output_dir)
    new = is_new(folder)

    def task(composed: DictConfig, place: Path) -> Any:
        return train_or_answer(resolve(composed), place)

    try:
        with _logged(section):
            check_directory(section.job.chdir)
            run_job(task, config, folder, list(section.overrides.task))
    except Exception as error:
        if new and isinstance(error, ConfigError | DataError):
            remove_refused_job(folder, config)
        return error
    return None


@contextmanager
def _logged(section: Any) -> Iterator[None]:
    """Logs to `train.log` as the command does, and to stdout unless the program has a log of its own."""
    root, wanted = logging.getLogger(), section.job_logging
    before, level = root.handlers[:], root.level
    handlers: list[logging.Handler] = []
    if wanted is not None and wanted.get("root") is not None:  # null: hydra/job_logging=disabled
        names = list(wanted.root.handlers)
        formats = {name: PrintableFormatter(str(one.format)) for name, one in wanted.formatters.items()}
        if "file" in names:
            handlers.append(logging.FileHandler(str(wanted.handlers.file.filename)))
            handlers[-1].setFormatter(formats.get(str(wanted.handlers.file.formatter)))
        if "console" in names and not before:
            handlers.append(ConsoleHandler())
            handlers[-1].setFormatter(formats.get(str(wanted.handlers.console.formatter)))
        root.setLevel(min(level, logging.INFO) if level else logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Restores what training sets for the whole process: random states, deterministic algorithms, warning filters."""
    load_libraries()
    import torch
    from pytorch_lightning.utilities.seed import isolate_rng

    deterministic, warn = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    benchmark = torch.backends.cudnn.benchmark
    with isolate_rng(), warnings.catch_warnings():
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=warn)
            torch.backends.cudnn.benchmark = benchmark
