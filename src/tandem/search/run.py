"""One trial: an ordinary run in its own folder, made by the code that `train.py` uses."""

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
from tandem.utils.artifacts import RESULTS
from tandem.utils.files import read_json

if TYPE_CHECKING:
    import pytorch_lightning as pl

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between two looks at a run that another process has in hand


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        values: of the objectives, where it is complete.
        reason: in one line, where it is not.
        data: whether it failed by its data, as every other trial would.
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
    """Trains a run, goes on with it, or answers from its results; what goes wrong in it is an outcome too.

    A run that another process has in hand, such as a trial with the same values, is waited for and then answers.

    Args:
        config: the resolved configuration of the run.
        folder: of the run.
        words: that `train.py` would make it from.
        number: of the trial.
        objectives: logged names of validation metrics.
        callback: makes what reports each epoch; not called where the run is finished.

    Raises:
        KeyboardInterrupt: the user stopped it.
    """

    def task(_config: Any, folder: Path) -> Outcome:
        if (folder / RESULTS).exists():
            return _read(read_json(folder / RESULTS), objectives)
        from tandem.search.callback import Pruned
        from tandem.train.run import train

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
        gc.collect()  # a network that did not fit keeps no memory from the next
    if outcome.state == "pruned":
        write_status(folder, "pruned", None, number, list(words), error=outcome.reason)
    return outcome


def _when_free(run: Callable[[], Outcome]) -> Outcome:
    """What a job gives, begun as soon as no other process has it in hand."""
    said = False
    while True:
        try:
            return run()
        except RunningElsewhere as busy:
            if not said:
                log.info("waiting: %s", str(busy).removesuffix(": not run again"))
                said = True
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
    """Keeps the log in the run's folder, as Hydra does for a run of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "train.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
