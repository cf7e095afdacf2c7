"""`results/bench/<name>.json`: what a benchmark found, with the machine, the versions and the date."""

import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tests.benchmarks.harness import Row

from tandem.runs.provenance import git_state
from tandem.utils.files import read_json, write_json
from tandem.utils.machine import native_bfloat16, processor, total_memory, usable_cores

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "results" / "bench"

PACKAGES = {"torch": "torch", "lightning": "pytorch-lightning", "tandem": "tandem-mtl"}


def machine() -> dict[str, Any]:
    """Processor, cores, memory and GPU."""
    memory = total_memory()
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "memory_gb": None if memory is None else round(memory / 2**30, 1),
        "bfloat16": native_bfloat16(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def versions() -> dict[str, Any]:
    """Python, packages, and the commit of tandem; `changed`: files were changed since."""
    git = git_state(ROOT / "src" / "tandem") or {}
    found = {name: version(package) for name, package in PACKAGES.items()}
    return {"python": platform.python_version(), **found, "commit": git.get("commit"), "changed": git.get("changed")}


def circumstances(threads: int) -> dict[str, Any]:
    """When, where and with what is measured; asked before records are written, which are changes themselves.

    Args:
        threads: of torch.
    """
    return {"date": time.strftime("%Y-%m-%d"), "threads": threads, "machine": machine(), "versions": versions()}


def write(
    name: str, title: str, rows: Sequence[Row], took: float, known: Mapping[str, Any], folder: Path = FOLDER
) -> Path:
    """Writes the record of one benchmark, in place of an earlier one.

    Args:
        name: of the benchmark.
        title: its first line.
        rows: what it found.
        took: seconds.
        known: the circumstances.
        folder: of all records.
    """
    whole = {
        "bench": name,
        "title": title,
        "seconds": round(took),
        **known,
        "rows": [{**asdict(row), "points": [list(point) for point in row.points]} for row in rows],
    }
    path = folder / f"{name}.json"
    write_json(path, whole)
    return path


def read(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """A record, and its rows."""
    whole = read_json(path)
    return whole, [_row(one) for one in whole["rows"]]


def _row(kept: Mapping[str, Any]) -> Row:
    values = {one.name: kept[one.name] for one in fields(Row)}
    numbers = {key: math.nan if values[key] is None else values[key] for key in ("ratio", "low", "high")}
    return Row(**{**values, **numbers, "points": tuple((x, y) for x, y in values["points"])})
