"""Provenance of a paper's numbers: code, packages, hardware, data, seeds and time."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from tandem.paper.jobs import PaperJob
from tandem.paper.outcome import Outcome
from tandem.paper.plan import Paper
from tandem.runs.provenance import git_state
from tandem.utils.files import sha256
from tandem.utils.machine import processor, total_memory

LOCK = "requirements.lock"
HOME = Path(__file__).resolve().parents[1]
"""Folder of this package."""

RUN_KEYS = (
    *("seed", "seconds", "epochs", "best_epoch", "resumed", "weights"),
    *("threads", "device", "processor", "platform", "versions", "git"),
)
"""Keys of `results.json` that the manifest copies for each finished run."""


def manifest(paper: Paper, budget: str, outcome: Outcome, command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Builds the provenance of a paper's numbers, as plain containers.

    Absolute paths are shortened to their last part, so that the manifest names no folder of the machine.

    Args:
        paper: the paper, with its studies.
        budget: name of the budget.
        outcome: outcome of the jobs.
        command: the typed command.
        seconds: duration of this command.
    """
    runs = [_run(job, outcome) for job in outcome.jobs]
    known = [run for run in runs if run["state"] == "finished"]
    return {
        "paper": paper.name,
        "title": paper.title,
        "budget": {"name": budget, "about": paper.budgets[budget].about, "overrides": paper.budgets[budget].overrides},
        "command": " ".join(map(without_folders, command)),
        "git": git_state(HOME),
        "lock": lock_hash(),
        "packages": packages(),
        "hardware": hardware(),
        "seconds": {"this command": round(seconds, 1), "all runs": round(sum(run["seconds"] or 0 for run in known), 1)},
        "seeds": sorted({run["seed"] for run in known}),
        "data": _data(known),
        "mixed": mixed(known),
        "runs": runs,
    }


def mixed(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Finds what differs between runs but should not: commit, threads, device, processor, platform or versions.

    Args:
        runs: entries of the manifest.

    Returns:
        The different values of each such key.
    """
    found = {}
    for key in ("git", "threads", "device", "processor", "platform", "versions"):
        values = list(dict.fromkeys(str(run.get(key)) for run in runs))
        if len(values) > 1:
            found[key] = values
    return found


def without_folders(word: str) -> str:
    """Shortens an absolute path in a command-line argument to its last part.

    Example:
        >>> without_folders("data.root=/home/ann/busi"), without_folders("seed=1")
        ('data.root=PATH/busi', 'seed=1')
    """
    key, equals, value = word.rpartition("=")
    bare = value.strip("'\"")
    return f"{key}{equals}PATH/{Path(bare).name}" if Path(bare).is_absolute() else word


def difference() -> str:
    """Changes of tracked files since the last commit; empty if the code is not a git checkout."""

    def git(*command: str) -> str:  # a local function, so that no configuration can name it as a `_target_`
        try:
            done = subprocess.run(  # noqa: S603 (fixed arguments, no shell)
                ["git", "-C", str(HOME), *command], capture_output=True, text=True, timeout=60, check=True  # noqa: S607
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout

    return git("diff", "--no-ext-diff", "--no-textconv", "HEAD") if git("ls-files", ".") else ""


def lock_hash() -> dict[str, str] | None:
    """SHA-256 of the checkout's lock file; None if there is none."""
    path = next((folder / LOCK for folder in HOME.parents[:3] if (folder / LOCK).is_file()), None)
    return None if path is None else {"file": LOCK, "sha256": sha256(path)}


def packages() -> dict[str, str]:
    """Version of Python and of every installed package."""
    found = {item.metadata["Name"]: item.version for item in distributions() if item.metadata["Name"]}
    return {"python": platform.python_version(), **dict(sorted(found.items(), key=lambda item: item[0].lower()))}


def hardware() -> dict[str, Any]:
    """Processor, cores, memory and GPUs of this machine."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gb": None if (memory := total_memory()) is None else round(memory / 1e9, 1),
        "gpus": _gpus(),
        "platform": platform.platform(),
        "threads_asked_for": os.environ.get("OMP_NUM_THREADS"),
    }


def _run(job: PaperJob, outcome: Outcome) -> dict[str, Any]:
    entry = {"study": job.study, "place": job.place, "overrides": [without_folders(word) for word in job.overrides]}
    if job.place not in outcome.runs:
        return {**entry, "state": outcome.lacking[job.place]}
    results = outcome.runs[job.place].results
    data = results.get("data") or {}
    return {**entry, "state": "finished", **{key: results.get(key) for key in RUN_KEYS}, "data": dict(data)}


def _data(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each fingerprint of data once, with the number of runs on these data."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        one = found.setdefault(str(run["data"]), {**run["data"], "runs": 0})
        one["runs"] += 1
    return list(found.values())


def _gpus() -> list[str]:
    """Names of the GPUs, if torch is already imported; importing it only for this would be slow."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
