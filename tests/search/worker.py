"""A process that works on a search: `python -m tests.search.worker FOLDER [hang]`, which prints what it took."""

import sys
import time
from pathlib import Path

from sqlalchemy import Engine, event
from tests.search.fakes import fake_settings, hurry, peak

from tandem.search.trials import Trials

if __name__ == "__main__":
    event.listen(Engine, "connect", hurry)
    trials = Trials(fake_settings(Path(sys.argv[1]), n_trials=8), ["seed=1"], "base")
    print("ready", flush=True)  # noqa: T201 (read by the test)
    sys.stdin.readline()
    while (trial := trials.claim(0)) is not None:
        if "hang" in sys.argv:
            trial.report(0.25, 0)
        print(trial.number, trial.params["x"], flush=True)  # noqa: T201 (read by the test)
        time.sleep(600 if "hang" in sys.argv else 0.2)
        trials.complete(trial, [peak(trial.params["x"])])
