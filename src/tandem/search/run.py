"""One trial: an ordinary run in its own folder, trained by the code of `train.py`."""

import contextlib
import gc
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from tandem.errors import DataError
from tandem.jobs import RunningElsewhere, one_line, run_job
from tandem.jobs.status import write_status

if TYPE_CHECKING:
    import pytorch_lightning as pl

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between two looks at a run that another process trains


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        values: of the objectives, if it is complete.
        reason: in one line, if it is not.
        data: whether an error in the data caused the failure, which every other trial would share.
    """

    state: str
    values: Sequence[float] = ()
    reason: str = ""
    data: bool = False


def run_trial(
    config: Mapping[str, Any],
    folder: Path,
    words: Sequence[str],
    number: int,
    objectives: Sequence[str],
    callback: Callable[[], "pl.Callback"],
) -> Outcome:
    """Trains or resumes a run, or reads its results; an error in it is an outcome, too.

    If another process trains the run, such as a trial with the same values, this waits for its results.

    Args:
        config: the resolved configuration of the run.
        folder: of the run.
        words: its overrides.
        number: of the trial.
        objectives: logged names of validation metrics.
        callback: creates the callback that reports each epoch; not called if the run is finished.

    Raises:
        KeyboardInterrupt: the user stopped it.
    """

    def task(_config: Any, folder: Path) -> Outcome:
        from tandem.search.callback import Pruned
        from tandem.train.answer import finished_results
        from tandem.train.run import train

        if (results := finished_results(config, folder)) is not None:
            return _read(results, objectives)

        try:
            with _logged(folder):
                return _read(train(config, folder, callbacks=[callback()]), objectives)
        except Pruned as end:
            return Outcome("pruned", reason=str(end))

    try:
        outcome: Outcome = _when_free(
            lambda: run_job(task, OmegaConf.create(dict(config)), folder, list(words), number)
        )
    except Exception as error:
        return Outcome("failed", reason=one_line(error), data=isinstance(error, DataError))
    finally:
        gc.collect()  # frees the memory of a network that did not fit
    if outcome.state == "pruned":
        write_status(folder, "pruned", None, number, list(words), error=outcome.reason)
    return outcome


def _when_free(run: Callable[[], Outcome]) -> Outcome:
    """The result of a job, started as soon as no other process runs it."""
    logged = False
    while True:
        try:
            return run()
        except RunningElsewhere as busy:
            if not logged:
                log.info("waiting: %s", str(busy).removesuffix(": not run again"))
                logged = True
            time.sleep(POLL)


def _read(results: Mapping[str, Any], objectives: Sequence[str]) -> Outcome:
    """The objectives' values among a run's results."""
    found = {name: results["metrics"].get(name) for name in objectives}
    for name, value in found.items():
        if value is None or not math.isfinite(value):
            return Outcome("failed", reason=f"{name} of the best checkpoint is not a number")
    return Outcome("complete", [float(value) for value in found.values() if value is not None])


@contextlib.contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Writes the log to the run's folder, as Hydra does for a run that is started alone."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "train.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
