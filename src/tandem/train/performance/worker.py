"""A process that trains steps of a run when it is asked to, so that others can do so at the same time."""

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tandem.utils.machine import SHARED

REFUSED = "hydra.launcher.n_jobs=auto"
"""How the answer begins if the run is none that can be measured."""


def serve(config: dict[str, Any], pipe: Connection) -> None:
    """Answers 0 when it is ready, and (threads, seconds) with the steps a second that it made; ends with the pipe.

    An error is answered in one line.

    Args:
        config: the resolved configuration of a run. No file is written but the cache of decoded images.
        pipe: to the process that asks.
    """
    from tandem.jobs.status import one_line

    logging.disable()  # the runs themselves say what there is to say
    warnings.simplefilter("ignore")
    os.environ[SHARED] = "1"
    try:
        steps = _Steps(config)
        answer: float | str = 0.0
        while True:
            pipe.send(answer)
            answer = steps.rate(*pipe.recv())
    except (EOFError, ConnectionError):  # nobody asks any more
        return
    except Exception as error:
        pipe.send(one_line(error))


class _Steps:
    def __init__(self, config: dict[str, Any]) -> None:
        from tandem.errors import ConfigError
        from tandem.factory import make_data, make_module, make_trainer
        from tandem.train.performance.calibrate import Calibration

        data = make_data(config)
        module = make_module(config, data.info)
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer({**config, "logger": None}, Path(folder))
        if (device := trainer.strategy.root_device.type) != "cpu":
            raise ConfigError(f"{REFUSED} measures processors, but the jobs train on {device}; give a number")
        data.setup()
        for task in module.tasks.values():
            task.prepare(data.splits["train"])
        self.calibration = Calibration(config, trainer, module, data)
        self.steps: dict[int, Callable[[], None]] = {}

    def rate(self, threads: int, seconds: float) -> float:
        """Steps a second; at least one step is made."""
        if threads not in self.steps:
            setting = replace(self.calibration.start, threads=threads)
            self.steps[threads] = self.calibration.trial(setting).step
            self.steps[threads]()  # the first step is slower
        begun, count = time.perf_counter(), 0
        while not count or time.perf_counter() - begun < seconds:
            self.steps[threads]()
            count += 1
        return count / (time.perf_counter() - begun)
