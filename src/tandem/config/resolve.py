"""Converts the composed configuration to plain containers with every reference resolved.

This module imports nothing heavy, so that `--help` and `--cfg job` answer at once.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tandem.config.asked import register_names
from tandem.config.identity import run_hash
from tandem.config.monitor import OFFERS, resolved_monitor
from tandem.config.own_paths import hint
from tandem.config.schema import (
    EXTENDED,
    AuditDataConfig,
    DoctorConfig,
    EvaluateConfig,
    ExplainLossConfig,
    ExportConfig,
    ListRunsConfig,
    PlanConfig,
    PredictConfig,
    ReproduceConfig,
    ShowDataConfig,
    TrainConfig,
    WriteShardsConfig,
)
from tandem.config.shipped import take_launchers
from tandem.config.suggest import explain, nearest
from tandem.errors import ConfigError

MOST_WORKERS = 64
"""Worker processes of a loader that are always accepted; above, at most four for each CPU core."""

TO_HYDRA = re.compile(r"\$\{\s*hydra\.")
"""A reference to Hydra's own section of the configuration."""


def register(primary: str = "train") -> None:
    """Registers the schemas and resolvers with Hydra; repeated calls are allowed.

    Args:
        primary: name of the primary configuration, which selects the schema that extends `train.yaml`.
    """
    from hydra.core.config_store import ConfigStore

    take_launchers()
    ConfigStore.instance().store(name="schema_train", node=EXTENDED.get(primary, TrainConfig))
    ConfigStore.instance().store(name="schema_explain_loss", node=ExplainLossConfig)
    ConfigStore.instance().store(name="schema_export", node=ExportConfig)
    ConfigStore.instance().store(name="schema_show_data", node=ShowDataConfig)
    ConfigStore.instance().store(name="schema_doctor", node=DoctorConfig)
    ConfigStore.instance().store(name="schema_audit_data", node=AuditDataConfig)
    ConfigStore.instance().store(name="schema_write_shards", node=WriteShardsConfig)
    ConfigStore.instance().store(name="schema_list_runs", node=ListRunsConfig)
    ConfigStore.instance().store(name="schema_plan", node=PlanConfig)
    ConfigStore.instance().store(name="schema_evaluate", node=EvaluateConfig)
    ConfigStore.instance().store(name="schema_predict", node=PredictConfig)
    ConfigStore.instance().store(name="schema_reproduce", node=ReproduceConfig)
    register_names()
    OmegaConf.register_new_resolver("run_hash", _run_hash, replace=True)
    OmegaConf.register_new_resolver("runs_folder", _runs_folder, replace=True)
    OmegaConf.register_new_resolver("without_medmnist", _without_medmnist, replace=True)


def _run_hash(*, _root_: DictConfig) -> str:
    """The hash; it is part of the folder's name, so that a bad name is refused before Hydra creates a folder."""
    plain = _plain(_root_)
    _check_name(plain)
    return run_hash(plain)


def _check_name(plain: Mapping[str, Any]) -> None:
    name = str(plain.get("name", "-"))
    if not name.strip() or ".." in Path(name).parts or Path(name).is_absolute():
        raise ConfigError(f"name is '{name}', but must be the name of a folder below '{plain.get('runs')}'")


def _runs_folder(runs: Any) -> str:
    """The folder of runs, checked before Hydra creates it."""
    return str(check_runs(runs))


def check_runs(runs: object) -> str:
    """The folder of runs, which may not exist yet.

    Raises:
        ConfigError: nothing, or a file.
    """
    text = "" if runs is None else str(runs)
    if not text.strip():
        raise ConfigError("runs is empty, so runs would go to the root of the disk; name a folder, such as runs=runs")
    for place in (Path(text).expanduser(), *Path(text).expanduser().parents):
        if place.exists() and not place.is_dir():
            raise ConfigError(f"runs is '{text}', but {place} is a file; name a folder")
    return text


def check_loader(loader: Mapping[str, Any]) -> None:
    """Rejects sizes of batches and numbers of worker processes that no loader can have.

    Raises:
        ConfigError: with the key.
    """
    for key, least in (("batch_size", 1), ("workers", 0)):
        value = loader[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(f"loader.{key} is {value!r}, but must be a whole number of at least {least}")
    if loader["workers"] > (most := max(MOST_WORKERS, 4 * (os.cpu_count() or 1))):
        raise ConfigError(
            f"loader.workers is {loader['workers']}, but this machine has {os.cpu_count()} cores; give {most} at most"
        )


def _without_medmnist(flag: str, size: int, root: str, file: str | None, download: bool) -> bool:
    """Whether a MedMNIST set is unavailable: no file is given, none is in the package's folder, no download allowed."""
    kept = Path(root).expanduser() / f"{flag}{'' if size == 28 else f'_{size}'}.npz"
    return file is None and not download and not kept.is_file()


def _plain(root: DictConfig) -> dict[str, Any]:
    """Resolves the configuration without Hydra's section. A missing value stays `???` and is reported later.

    Tasks are sorted alphabetically, and `auto` in `monitor` and `mode` is resolved.
    """
    own = [str(key) for key in root if key != "hydra"]
    if "hydra" in root and _refers_to_hydra(root):  # the job itself could not resolve it, so it is refused here too
        root = OmegaConf.masked_copy(root, own)
    with resolved_monitor(root):
        plain = {key: _value(root, key) for key in own if key != OFFERS}
    if isinstance(tasks := plain.get("tasks"), dict):  # task=[a,b] and task=[b,a] are the same run
        plain["tasks"] = dict(sorted(tasks.items()))
    return plain


def _refers_to_hydra(root: DictConfig) -> bool:
    as_typed = OmegaConf.to_container(root, resolve=False)
    assert isinstance(as_typed, dict)
    return any(TO_HYDRA.search(repr(value)) for key, value in as_typed.items() if key != "hydra")


def _value(root: DictConfig, key: str) -> Any:
    if OmegaConf.is_missing(root, key):
        return "???"
    value = root[key]
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=False) if OmegaConf.is_config(value) else value


def resolve(config: DictConfig) -> dict[str, Any]:
    """Resolves a job's configuration to plain containers.

    Raises:
        ConfigError: a mandatory value is missing, a key at the root is unknown, `name` is not a folder name, or a
            reference cannot be resolved.
    """
    root = OmegaConf.get_type(config)
    known = {entry.name for entry in fields(root)} if is_dataclass(root) else set(map(str, config))
    for key in map(str, config):  # `+key=...` can add unknown keys
        if key not in known | {"hydra"}:
            raise ConfigError(f"unknown key '{key}': {nearest(key, known)}")
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        plain = _plain(config)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from error
    if missing:
        raise ConfigError(f"{missing[0]} has no value; give it, for instance {missing[0]}=VALUE{hint(missing[0])}")
    _check_name(plain)
    return plain


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Flattens nested containers to one dict with dotted keys, as trackers expect.

    Example:
        >>> flatten({"optimizer": {"lr": 0.1}, "seed": 1})
        {'optimizer.lr': 0.1, 'seed': 1}
    """
    items = node.items() if isinstance(node, Mapping) else enumerate(node)
    flat: dict[str, Any] = {}
    for key, value in items:
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping | list) and value else {name: value}
    return flat
