"""`make bench`: every benchmark, or those that are named: python -m tests.benchmarks.run losses sweep.

Each writes `results/bench/<name>.json`; `make bench-page` then renders docs/benchmarks.md from these files.
"""

import importlib
import platform
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from tests.benchmarks import record
from tests.benchmarks.harness import show

from tandem.utils.files import from_here

THREADS = 2


def main(names: list[str]) -> int:
    """Runs `rows()` of each `bench_<name>.py`; exit code 1 where a bar is missed."""
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    if unknown := sorted(set(names) - set(known)):
        sys.stderr.write(f"error: no benchmark '{unknown[0]}'; there are: {', '.join(known)}\n")
        return 2
    torch.set_num_threads(THREADS)
    Console().print(f"{platform.machine()}, {THREADS} threads, torch {torch.__version__}", highlight=False)
    held, known_here = True, record.circumstances(THREADS)
    for name in names or known:
        module = importlib.import_module(f"tests.benchmarks.bench_{name}")
        title, start = (module.__doc__ or name).strip().splitlines()[0], time.perf_counter()
        rows = module.rows()
        held &= show(title, rows)
        path = record.write(name, title, rows, time.perf_counter() - start, known_here)
        Console().print(f"written: {from_here(path)}", highlight=False, soft_wrap=True)
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
