"""The identity of a run: a hash of every option that can change its numbers.

Later releases add options and rename classes. To keep the hashes of old runs, an option added later is left out of the
hash at its neutral value, and a renamed `_target_` is hashed under its first name.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tandem.utils.artifacts import LAST
from tandem.utils.files import known_sha256

NOT_IDENTITY = (
    "name",
    "runs",
    "full",
    "on_changed_data",
    "checkpoint",
    "hydra",
    "logger",
    "callbacks.progress",
    "callbacks.epoch_log",
    "callbacks.collapse",
    "callbacks.metrics_csv",
    "callbacks.panels",
    "callbacks.confusion",
    "callbacks.tracking",
    "data.cache",
    "data.memory_gb",
    "loader.workers",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.collective_timeout_min",
    "tasks.*.metrics.*.direction",
    "tasks.*.metrics.*.label",
)
"""Options that change where or how a run is shown, but not its numbers. A callback with `stop: true` is hashed."""

PATHS = ("data.root", "data.subset", "data.file")
"""Options that are paths; the resolved path is hashed, so that its spelling does not matter."""

CONTENTS = ("data.split_file", "network.weights", "resume_from")
"""Options that are files; their content is hashed, so that their location does not matter. For a run's folder, the
content of its last.ckpt is hashed."""

LATER: dict[str, Any] = {
    "callbacks.non_finite": {"_target_": "tandem.callbacks.NonFinite", "policy": "stop"},
    "resume_from": None,
    "network.weights_part": "encoder",
    "network.pyramid_channels": 256,
    "network.cache_features": False,
    "network.lora": {"rank": 0, "alpha": 16.0, "dropout": 0.0, "targets": ["attention"]},
    "parameters.layer_decay": None,
    "data.background": "black",
    "data.window": None,
    "data.spacing": None,
    "data.columns.spacing": None,
    "data.images_each": 1,
    "data.ids": "plain",
    "data.allow_overlap": False,
    "data.missing": None,
    "trainer.share": "rows",
    "trainer.sync_batchnorm": True,
    "decide": "threshold",
    "data.fit": "squash",
    "data.crop": "centre",
    "data.foreground_crops": 0.0,
    "performance": {"name": "exact"},
    "loader.masks": 1.0,
    "loader.labels": 1.0,
    "loader.incomplete": "keep",
}
"""Options added after release 0.1.0, by dotted key, with the neutral value that reproduces the earlier behaviour.

`*` stands for one part of a key: `tasks.*.loss.reduction`. Entries are never removed.
"""

RENAMED: dict[str, str] = {
    "tandem.metrics.ClassDice": "torchmetrics.classification.MulticlassF1Score",
    "tandem.metrics.ClassIoU": "torchmetrics.classification.MulticlassJaccardIndex",
    "tandem.metrics.MatthewsCorrelation": "torchmetrics.classification.MulticlassMatthewsCorrCoef",
    "tandem.metrics.MeanAbsoluteError": "torchmetrics.regression.MeanAbsoluteError",
    "tandem.metrics.MeanSquaredError": "torchmetrics.regression.MeanSquaredError",
    "tandem.metrics.R2": "torchmetrics.regression.R2Score",
}
"""Renamed or replaced `_target_`s: the current name and the first name, which is hashed. Entries are never removed."""


def run_hash(config: Mapping[str, Any]) -> str:
    """Computes the hash that names a run: twelve hex digits of the SHA-256 of every option that can change its numbers.

    Args:
        config: the resolved configuration as plain containers.

    Example:
        >>> run_hash({"seed": 1, "name": "a"}) == run_hash({"name": "b", "seed": 1})
        True
        >>> run_hash({"seed": 1}) == run_hash({"seed": 2})
        False
    """
    canonical = json.dumps(_defining(config), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Dotted keys of the settings in which two runs differ, among those that name a run.

    Args:
        one: a resolved configuration.
        other: another.

    Example:
        >>> differences({"seed": 1, "optimizer": {"lr": 0.1}}, {"seed": 1, "optimizer": {"lr": 0.2}, "runs": "r"})
        ['optimizer.lr']
    """
    first, second = dict(_flat(_defining(one))), dict(_flat(_defining(other)))
    return sorted(
        key for key in first.keys() | second.keys() if key not in first or key not in second
        or not _same(first[key], second[key])
    )  # fmt: skip


def is_neutral(key: str, value: Any) -> bool:
    """Whether an option was added later and has the value at which a run is what it was without it.

    Example:
        >>> is_neutral("resume_from", None), is_neutral("seed", None)
        (True, False)
    """
    entries = _later(key)
    return bool(entries) and any(_same(value, LATER[entry]) for entry in entries)


@cache  # lists of runs ask for the same few hundred keys, a thousand times each
def _later(key: str) -> tuple[str, ...]:
    """The entries of `LATER` that name a key."""
    parts = key.split(".")
    return tuple(
        entry for entry in LATER if len(name := entry.split(".")) == len(parts)
        and all(one in ("*", part) for one, part in zip(name, parts, strict=True))
    )  # fmt: skip


def _defining(config: Mapping[str, Any]) -> Any:
    """The settings that can change a run's numbers, each in the one form that is hashed."""
    defining = copy.deepcopy(dict(config))
    for key in NOT_IDENTITY:
        for parent, last in _places(defining, key):
            if not (isinstance(node := parent.get(last), dict) and node.get("stop") is True):  # it may end a run early
                parent.pop(last, None)
    for key, neutral in LATER.items():
        for parent, last in _places(defining, key):
            if last in parent and _same(parent[last], neutral):
                del parent[last]
    for key in (*PATHS, *CONTENTS):
        for parent, last in _places(defining, key):
            if isinstance(path := parent.get(last), str):
                parent[last] = _content(path) if key in CONTENTS else str(Path(path).expanduser().resolve())
    return _first_names(defining)


def _flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict) or not node:
        yield prefix.removesuffix("."), node
        return
    for key, value in node.items():
        yield from _flat(value, f"{prefix}{key}.")


@cache
def is_presentation(key: str) -> bool:
    """Whether an option changes only how a run is shown or where it is stored, and none of its numbers.

    Args:
        key: dotted key, such as `callbacks.panels.count`.

    Example:
        >>> is_presentation("callbacks.panels.count"), is_presentation("data.sources.a.cache"), is_presentation("seed")
        (True, True, False)
    """
    parts = re.sub(r"^data\.sources\.[^.]+\.", "data.", key).split(".")
    return any(
        len(name) <= len(parts) and all(one in ("*", part) for one, part in zip(name, parts, strict=False))
        for name in (entry.split(".") for entry in NOT_IDENTITY)
    )


def _same(value: Any, neutral: Any) -> bool:
    """Whether two values are equal and of the same type: 1, 1.0 and true are three values."""
    return type(value) is type(neutral) and bool(value == neutral)


def _first_names(node: Any) -> Any:
    """Replaces each renamed `_target_` by its first name."""
    if isinstance(node, dict):
        renamed = {"_target_": RENAMED.get(str(node["_target_"]), node["_target_"])} if "_target_" in node else {}
        return {key: _first_names(value) for key, value in node.items()} | renamed
    return [_first_names(value) for value in node] if isinstance(node, list) else node


def _content(path: str) -> str:
    """SHA-256 of a file; the path itself if the file is missing, which is reported later."""
    file = Path(path).expanduser()
    file = file / LAST if file.is_dir() else file
    return known_sha256(file) if file.is_file() else path


def _places(config: dict[str, Any], key: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Finds the places of an option: the dicts that can hold it, and the last part of its key.

    `data.x` can also be an option of each source of mixed data, at `data.sources.<name>.x`.
    """
    *parents, last = key.split(".")
    for parent in _below(config, parents):
        yield parent, last
    if parents[:1] == ["data"]:
        for parent in _below(config, ["data", "sources", "*", *parents[1:]]):
            yield parent, last


def _below(node: Any, parts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The dicts at the given key; `*` stands for each entry of a dict."""
    if not isinstance(node, dict):
        return
    if not parts:
        yield node
        return
    for child in node.values() if parts[0] == "*" else (node.get(parts[0]),):
        yield from _below(child, parts[1:])
