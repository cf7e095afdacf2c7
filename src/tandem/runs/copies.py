"""Copies of a run: folders with the same hash, and whether they hold the same numbers and weights."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError, DataError
from tandem.utils.artifacts import BEST, RESULTS
from tandem.utils.digests import read_artifact
from tandem.utils.files import known_sha256

log = logging.getLogger(__name__)

NUMBERS = ("metrics", "thresholds", "best_epoch")
"""Parts of `results.json` that copies of a run share."""


def without_copies(folders: Sequence[Path]) -> list[Path]:
    """Leaves out copies of runs, and logs each of them.

    Args:
        folders: of finished runs, or of none; what has no readable results stays.

    Raises:
        ConfigError: two runs have the same hash, but other numbers or weights.
    """
    kept: list[Path] = []
    first: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for folder in folders:
        results = _results(folder)
        key = str(results.get("hash") or folder)
        if key not in first:
            first[key] = (folder, results)
            kept.append(folder)
            continue
        check_copy(folder, results, *first[key])
        log.warning("%s", copy_line(folder, first[key][0]))
    return kept


def copy_line(copy: Path, first: Path) -> str:
    """Names a copy."""
    return f"{copy} is a copy of {first} (same hash, numbers and weights): counted once"


def check_copy(folder: Path, results: Mapping[str, Any], first: Path, others: Mapping[str, Any]) -> None:
    """Compares two runs of the same hash.

    Args:
        folder: of a run.
        results: content of its `results.json`.
        first: of another one.
        others: likewise.

    Raises:
        ConfigError: they differ in numbers, or in weights where both have some.
    """
    if (what := _difference(folder, results, first, others)) is not None:
        raise ConfigError(
            f"{folder} and {first} have the same hash ({results.get('hash')}), but {what}: they cannot both be that "
            "run; remove the one that is wrong, or move it away"
        )


def _difference(folder: Path, results: Mapping[str, Any], first: Path, others: Mapping[str, Any]) -> str | None:
    for part in NUMBERS:
        one, other = results.get(part), others.get(part)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            key = next(key for key in (*one, *other) if one.get(key) != other.get(key))
            return f"other {part} ({key}: {one.get(key)} and {other.get(key)})"
        return f"another {part} ({one} and {other})"
    here, there = folder / BEST, first / BEST
    if not here.is_file() or not there.is_file() or known_sha256(here) == known_sha256(there):
        return None
    return None if _same_weights(here, there) else f"other weights ({BEST})"


def _same_weights(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the same weights; they may differ in paths, which are stored too."""
    import torch

    first, second = (torch.load(path, weights_only=True, map_location="cpu")["state_dict"] for path in (one, other))
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )


def _results(folder: Path) -> dict[str, Any]:
    try:
        found = read_artifact(folder / RESULTS)
    except (OSError, DataError):  # reported by whoever restores it
        return {}
    return found if isinstance(found, dict) else {}
