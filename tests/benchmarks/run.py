"""`make bench`: every benchmark, or those that are named: python -m tests.benchmarks.run losses sweep."""

import importlib
import platform
import sys
from pathlib import Path

import torch
from rich.console import Console
from tests.benchmarks.harness import show

THREADS = 2


def main(names: list[str]) -> int:
    """Runs `rows()` of each `bench_<name>.py`; exit code 1 where a bar is missed."""
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    if unknown := sorted(set(names) - set(known)):
        sys.stderr.write(f"error: no benchmark '{unknown[0]}'; there are: {', '.join(known)}\n")
        return 2
    torch.set_num_threads(THREADS)
    Console().print(f"{platform.machine()}, {THREADS} threads, torch {torch.__version__}", highlight=False)
    held = True
    for name in names or known:
        module = importlib.import_module(f"tests.benchmarks.bench_{name}")
        held &= show((module.__doc__ or name).strip().splitlines()[0], module.rows())
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
