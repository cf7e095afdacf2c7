"""`hydra.launcher.n_jobs=auto`: how many jobs of a sweep the cores of this machine train fastest side by side."""

import logging
import multiprocessing
import os
import platform
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

from tandem.data.files.cache import cache_folder
from tandem.distributed.count import device_count
from tandem.errors import ConfigError, TrainingError
from tandem.factory import image_size
from tandem.train.performance.choose import TURNS, fastest
from tandem.train.performance.store import alone, cache_file, read_cache, structure, write_cache
from tandem.train.performance.worker import REFUSED, serve
from tandem.utils.files import read_json, write_json
from tandem.utils.machine import processor, usable_cores

log = logging.getLogger(__name__)

SECONDS = 12.0
"""Seconds of measuring in all, without the start of the processes that measure."""

PATIENCE = 300.0
"""Seconds within which a process has to answer: the first one may have to decode the images."""

RECORD = "side_by_side.json"
"""File beside the folders of the jobs with the choice and what was measured."""


@dataclass(frozen=True)
class Width:
    """How the jobs of a sweep share a machine.

    Attributes:
        jobs: at the same time, at least 1.
        threads: of each, at least 1.
    """

    jobs: int
    threads: int

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"one after another with {threads}" if self.jobs == 1 else f"{self.jobs} at a time with {threads} each"


def read_width(stored: object) -> Width:
    """Reads a choice from plain values.

    Raises:
        ValueError: they are something else.

    Example:
        >>> read_width({"jobs": 2, "threads": 1})
        Width(jobs=2, threads=1)
    """
    right = isinstance(stored, Mapping) and stored.keys() == {"jobs", "threads"}
    if not right or not all(type(value) is int and value > 0 for value in stored.values()):  # type: ignore[attr-defined]
        raise ValueError(f"{stored!r} does not say how jobs share a machine")
    return Width(**stored)  # type: ignore[arg-type]


def widths(jobs: int, cores: int, threads: int | None) -> list[Width]:
    """What is compared: 1, 2, 4, ... jobs at a time, at most as many as there are jobs and cores for.

    Args:
        jobs: that are to run.
        cores: that the process may use.
        threads: of each job, if they are set; None: an equal share of the cores.

    Example:
        >>> [str(width) for width in widths(27, cores=2, threads=None)]
        ['one after another with 2 threads', '2 at a time with 1 thread each']
        >>> [width.jobs for width in widths(3, cores=16, threads=4)]
        [1, 2]
    """
    most = max(1, min(jobs, cores // (threads or 1)))
    return [Width(count, threads or cores // count) for count in (2**power for power in range(most.bit_length()))]


def side_by_side(config: Mapping[str, Any], jobs: int, threads: int | None, folder: Path) -> Width:
    """How many jobs train fastest at a time: as measured now, or before for the same sweep or structure.

    A sweep that goes on keeps its number of threads, since a resumed run has to end with the same numbers.

    Processes train steps of the first job, side by side and one alone, in turns. More than one at a time have to save
    3 % of the time.

    Args:
        config: the resolved configuration of the first job; the others are taken to cost as much.
        jobs: that are to run.
        threads: of each job, if the launcher's option sets them.
        folder: has, or gets, a record of the choice; it holds the folders of the jobs.

    Raises:
        ConfigError: the jobs train on a GPU, or each on several devices.
    """
    threads = threads or _typed_threads()
    choices = widths(jobs, usable_cores(), threads)
    if (known := _recorded(folder)) is not None and threads in (None, known.threads):
        log.info("hydra.launcher.n_jobs=auto: %s (as in %s)", known, folder / RECORD)
        return known
    if device_count(config) > 1:
        raise ConfigError("hydra.launcher.n_jobs=auto is for jobs of one device each; give a number")
    if len(choices) == 1:
        log.info("hydra.launcher.n_jobs=auto: %s (no other choice)", choices[0])
        _record(folder, choices[0], {})
        return choices[0]
    facts = _facts(config, choices)
    path = cache_file(cache_folder(config["data"].get("cache")), facts)
    with alone(path):
        if (known := read_cache(path, read_width)) is not None:
            log.info("hydra.launcher.n_jobs=auto: %s (measured before, for the same structure)", known)
            _record(folder, known, {})
            return known
        log.info("hydra.launcher.n_jobs=auto: measures %s, %.0f s from when they are ready", _listed(choices), SECONDS)
        try:
            times = measured(config, choices)
        except TrainingError as error:
            log.warning("hydra.launcher.n_jobs=auto: %s, since nothing could be measured: %s", choices[0], error)
            return choices[0]
        found = fastest(times)
        seconds = {str(width): median(each) for width, each in times.items()}
        write_cache(path, asdict(found), facts, seconds)
    speeds = {width: round(1 / each, 3) for width, each in seconds.items()}
    shown = "; ".join(f"{width}: {speed:.3g}" for width, speed in speeds.items())
    log.info("hydra.launcher.n_jobs=auto: %s (steps a second: %s)", found, shown)
    _record(folder, found, speeds)
    return found


def measured(config: Mapping[str, Any], choices: Sequence[Width], seconds: float = SECONDS) -> dict[Width, list[float]]:
    """Seconds of a step of each choice, over all of its processes together, once in each turn.

    Args:
        config: the resolved configuration of the run whose steps are trained.
        choices: are compared.
        seconds: of measuring in all.

    Raises:
        ConfigError: the run trains on a GPU.
        TrainingError: a process failed.
    """
    span = seconds / (TURNS * len(choices))
    times: dict[Width, list[float]] = {width: [] for width in choices}
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(config)) for _ in range(max(width.jobs for width in choices))]
        for worker in workers:
            _answer(worker)  # it is ready
        for _ in range(TURNS):
            for width in choices:
                for worker in workers[: width.jobs]:
                    with suppress(ConnectionError):  # its answer says that it was ended
                        worker.send((width.threads, span))
                times[width].append(1 / sum([_answer(worker) for worker in workers[: width.jobs]]))
    return times


@contextmanager
def _worker(config: Mapping[str, Any]) -> Iterator[Connection]:
    """A process that trains steps when it is asked to, until the end of the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(dict(config), there), daemon=True)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for this process, which ends the other one
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.terminate()
        process.join()


def _answer(worker: Connection) -> float:
    try:
        answer = worker.recv() if worker.poll(PATIENCE) else f"no answer in {PATIENCE:.0f} s"
    except (EOFError, ConnectionError):
        answer = "a process that measures was ended; is the memory too small for several jobs?"
    if isinstance(answer, str):
        if answer.startswith(REFUSED):
            raise ConfigError(answer)
        raise TrainingError(answer)
    return float(answer)


def _listed(choices: Sequence[Width]) -> str:
    return " and ".join(f"{width.jobs} x {width.threads}" for width in choices) + " (jobs x threads)"


def _typed_threads() -> int | None:
    """The threads that a person has set for all processes."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() and int(text) else None


def _facts(config: Mapping[str, Any], choices: Sequence[Width]) -> dict[str, Any]:
    """Everything that the choice depends on, as plain values."""
    trainer = config["trainer"]
    return {
        "side by side": [asdict(width) for width in choices],
        "structure": structure(config),
        "image": [config["loader"]["batch_size"], image_size(config["data"])],
        "trainer": {key: trainer.get(key) for key in ("precision", "accelerator", "devices")},
        "here": [processor(), platform.platform(), usable_cores(), platform.python_version(), version("torch")],
    }


def _recorded(folder: Path) -> Width | None:
    """The choice that jobs in this folder were run with; None if there is none, or it is damaged, which is logged."""
    try:
        stored = read_json(folder / RECORD)
        return read_width({key: stored[key] for key in ("jobs", "threads")})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged (%s): measuring again", folder / RECORD, " ".join(str(error).split())[:120])
        return None


def _record(folder: Path, found: Width, speeds: Mapping[str, float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, {**asdict(found), "steps a second": dict(speeds)})
