"""Start-up of `experiment=tiny` with warm files: help, a finished run's answer, the first step, the process's end."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.first_step import ENDS, FIRST
from tests.benchmarks.harness import Row, at_most, in_turns, paired

ROOT = Path(__file__).parents[2]
ROUNDS = 9

COMMAND = ("-m", "tandem.train")
IMPORTS = "import torch, pytorch_lightning"

FIRST_STEP = "+callbacks.first_step._target_=tests.benchmarks.first_step.FirstStep"


def rows() -> list[Row]:
    """Seconds against the limits; the first step also against the import of torch and Lightning alone, in turns."""
    seeds = count(1)
    with TemporaryDirectory() as folder:
        turns: dict[str, Callable[[], list[tuple[float, ...]]]] = {
            "help": lambda: [(whole(folder, *COMMAND, "--help"),)],
            "answer": lambda: [(whole(folder, *COMMAND, "experiment=tiny"),)],
            "train": lambda: [trained(folder, seeds)],
            "import": lambda: [(whole(folder, "-c", IMPORTS),)],
        }
        for warm in turns.values():  # also trains the run that then answers
            warm()
        time.sleep(3)
        found = in_turns(turns, ROUNDS)
    first, end = ([taken[place] for taken in found["train"]] for place in (0, 1))
    alone = {name: [taken[0] for taken in found[name]] for name in ("help", "answer", "import")}
    return [
        _limited("--help", alone["help"], 0.7),
        _limited("a finished run's answer", alone["answer"], 1.0),
        _limited("from the command to the first step", first, 4.0),
        _limited("from the end of the work to that of the process", end, 0.5),
        paired("from the command to the first step", IMPORTS, first, alone["import"]),
    ]


def _limited(what: str, taken: list[float], limit: float) -> Row:
    return at_most(what, statistics.median(taken), {"limit": limit}, 1, "s")


def trained(folder: str, seeds: Iterator[int]) -> tuple[float, float]:
    """Trains a new run: seconds to the end of its first step, and from the end of its work to that of the process."""
    start = time.time()
    told = _told(folder, *COMMAND, "experiment=tiny", f"seed={next(seeds)}", FIRST_STEP)
    end = time.time()
    first, ends = (float(re.search(rf"^{mark} ([0-9.]+)$", told, re.M)[1]) for mark in (FIRST, ENDS))  # type: ignore[index]
    return first - start, end - ends


def whole(folder: str, *words: str) -> float:
    """How long a process takes."""
    start = time.perf_counter()
    _told(folder, *words)
    return time.perf_counter() - start


def _told(folder: str, *words: str) -> str:
    """What a process writes to stderr."""
    search = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "PYTHONPATH": search, "TANDEM_ALLOW": "tests.benchmarks.first_step"}
    variables["OMP_NUM_THREADS"] = "1"  # so small a network is not faster with more
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # tandem's modules would be compiled at each start
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True, text=True).stderr
