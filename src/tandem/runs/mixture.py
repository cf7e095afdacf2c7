"""Runs that are averaged must be of the same data, version of tandem, device and precision; this names what differs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.config.identity import is_neutral
from tandem.config.places import stored_config
from tandem.errors import ConfigError
from tandem.runs.performance import described, used_precision

NOT_FILES = (
    "size",
    "fit",
    "crop",
    "foreground_crops",
    "channels",
    "cache",
    "memory_gb",
    "allow_overlap",
    "fractions",
    "split_seed",
    "folds",
    "fold",
    "split_file",
    "on_error",
)
"""Options of `data` that change how rows are split or decoded, and not which files they come from."""

KINDS = {
    "versions of tandem": lambda results: _tandem(results.get("versions") or {}),
    "devices": lambda results: results.get("device"),
    "processors": lambda results: results.get("processor"),
    "numbers of processes": lambda results: results.get("processes"),
    "precisions": used_precision,
    "ways to compute": described,
}

DATA = "versions of the data"
SHOWN = 3
"""Number of values that a message names."""

DIGITS = 12
"""Number of digits that a message shows of a digest."""

Results = Mapping[str, Any]


def mixtures(runs: Iterable[tuple[Path, Results]]) -> list[str]:
    """What differs between runs that are averaged, a line each; what a run does not know is ignored.

    Folds and seeds split the same files differently. So the fingerprints of splits are compared between runs with the
    same settings of the data, and the files between all runs that read the same ones.

    Args:
        runs: folder and content of `results.json` of each.
    """
    known = list(runs)
    lines = [line for kind, value_of in KINDS.items() for line in _differing(kind, known, value_of)]
    for key in (_same_splits, _same_files):
        groups: dict[str, list[tuple[Path, Results]]] = {}
        for folder, results in known:
            groups.setdefault(key(results), []).append((folder, results))
        value_of = _fingerprint if key is _same_splits else _content
        found = [line for group in groups.values() for line in _differing(DATA, group, value_of)]
        if found:
            return [*lines, *found]
    return lines


def refuse_mixtures(runs: Iterable[tuple[Path, Results]], where: str, allow: str) -> list[str]:
    """Refuses to average runs that do not belong together.

    Args:
        runs: as of `mixtures`.
        where: what is averaged, for the message.
        allow: how the user allows it; empty if they have.

    Returns:
        The lines of `mixtures`, if they are allowed.

    Raises:
        ConfigError: the runs differ, and that is not allowed.
    """
    lines = mixtures(runs)
    if lines and allow:
        raise ConfigError(f"{where} would average {'; '.join(lines)}; train them again, leave some out, or add {allow}")
    return lines


def _differing(kind: str, runs: Sequence[tuple[Path, Results]], value_of: Any) -> Iterator[str]:
    first: dict[str, Path] = {}
    for folder, results in runs:
        if (value := value_of(results)) is not None:
            first.setdefault(str(value), folder)
    if len(first) > 1:
        values = [f"{value[:DIGITS] if kind == DATA else value} ({folder.name})" for value, folder in first.items()]
        more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
        yield f"runs of {len(values)} different {kind}: {', '.join(values[:SHOWN])}{more}"


def _tandem(versions: Mapping[str, Any]) -> Any:
    return versions.get("tandem-mtl") or versions.get("tandem")


def _data(results: Results) -> Mapping[str, Any]:
    data = (results.get("config") or {}).get("data") or {}
    found: Mapping[str, Any] = stored_config({**results, "config": {"data": data}})["data"]
    return found


def _same_splits(results: Results) -> str:
    return json.dumps(_without(_data(results), ("cache", "memory_gb")), sort_keys=True, default=str)


def _same_files(results: Results) -> str:
    return json.dumps(_without(_data(results), NOT_FILES), sort_keys=True, default=str)


def _without(node: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Settings of the data without some keys and later options at their neutral value, also in each source."""
    kept = {key: value for key, value in node.items() if key not in keys and not is_neutral(f"data.{key}", value)}
    if isinstance(sources := kept.get("sources"), Mapping):
        kept["sources"] = {name: _without(source, keys) for name, source in sources.items()}
    return kept


def _fingerprint(results: Results) -> str | None:
    prints = (results.get("data") or {}).get("fingerprint")
    # over the hashes of the splits alone: files may have been packed or moved
    return ":".join(str(prints.get(split))[:12] for split in ("train", "val", "test")) if prints else None


def _content(results: Results) -> str | None:
    """Of the files with their tables; runs of an older tandem know only the images."""
    data = results.get("data") or {}
    found = data.get("content")
    return None if found is None else str(found)
