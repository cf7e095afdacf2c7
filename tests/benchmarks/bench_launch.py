"""Sweeps: 27 jobs of study=focal_grid experiment=tiny in one process, from the typed command to its end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.harness import Row, at_most

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"
LAUNCHERS = ("basic", "processes")


def rows() -> list[Row]:
    """The sweep against the sum of its jobs' own seconds (from the seed to `results.json`), and finished ones again."""
    with TemporaryDirectory() as folder:
        seconds(folder, "experiment=tiny")  # reads the libraries from the disk
        whole = seconds(folder, *sweep("basic"))
        results = [json.loads(path.read_text()) for path in Path(folder).glob("runs/focal_grid/*/results.json")]
        assert len(results) == 27
        pure = sum(found["seconds"] for found in results)
        again = {launcher: seconds(folder, *sweep(launcher)) for launcher in LAUNCHERS}
    return [
        at_most("27 jobs", whole, {"their training": pure}, 1.15, "s"),
        *(at_most(f"finished, again, {launcher}", took, {"limit": 10.0}, 1, "s") for launcher, took in again.items()),
    ]


def sweep(launcher: str) -> list[str]:
    """What is typed for it."""
    return ["study=focal_grid", "experiment=tiny", f"hydra/launcher={launcher}"]


def seconds(folder: str, *words: str) -> float:
    """How long a command takes."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}  # so small a network is not faster with more
    start = time.perf_counter()
    subprocess.run([sys.executable, SCRIPT, *words], cwd=folder, env=variables, check=True, capture_output=True)
    return time.perf_counter() - start
