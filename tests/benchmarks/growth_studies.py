"""How the cost of many runs grows: lists and reports of 100 to 1000 runs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.growth_training import LIMIT
from tests.benchmarks.harness import Row, at_most, growth
from tests.benchmarks.many_runs import Choices, drawn, grid, write_runs

ROOT = Path(__file__).parents[2]
COUNTS = (100, 300, 1000)

KINDS: dict[str, Choices] = {"grid": grid, "random search": drawn}

LIST_BAR, STUDY_BAR = 1.0, 10.0
"""Seconds for a thousand runs, from the typed command to its end."""

REPEATS = 3


def rows(folder: Path) -> Iterator[Row]:
    """Seconds of both commands.

    Args:
        folder: for the runs.
    """
    command(folder, "train", "experiment=tiny", "loss/binary@tasks.segmentation.loss=focal", "name=first")
    (first,) = (folder / "runs" / "first").iterdir()
    for name, choices in KINDS.items():
        listed, told = [], []
        for count in COUNTS:
            place = folder / f"{choices.__name__}{count}"
            write_runs(first, place / "study", count, choices)
            listed.append((count, fastest(folder, "list_runs", f"runs={place}")))
            told.append((count, fastest(folder, "study", f"{place / 'study'}")))
        yield growth(f"list of runs, {name}: time by runs", listed, "s", LIMIT)
        yield growth(f"report of a study, {name}: time by runs", told, "s", LIMIT)
        yield at_most(f"list of {COUNTS[-1]} runs, {name}", listed[-1][1], {"limit": LIST_BAR}, 1, "s")
        yield at_most(f"report of {COUNTS[-1]} runs, {name}", told[-1][1], {"limit": STUDY_BAR}, 1, "s")


def fastest(folder: Path, *words: str) -> float:
    """Seconds of a command, the least of some."""
    return min(command(folder, *words) for _ in range(REPEATS))


def command(folder: Path, name: str, *words: str) -> float:
    """Seconds of a command, from its start to its end."""
    search = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": search}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / f"{name}.py", *words],
        cwd=folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return time.perf_counter() - start
