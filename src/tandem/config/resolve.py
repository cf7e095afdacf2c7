"""The composed configuration as plain containers, with every reference resolved.

Nothing heavy is imported here, so that `--help` and `--cfg job` answer at once.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tandem.config.identity import run_hash
from tandem.config.monitor import OFFERS, settled_monitor
from tandem.config.schema import (
    EXTENDED,
    AuditDataConfig,
    EvaluateConfig,
    ExplainLossConfig,
    ExportConfig,
    PredictConfig,
    ReproduceConfig,
    ShowDataConfig,
    TrainConfig,
)
from tandem.config.shipped import take_launchers
from tandem.config.suggest import explain, nearest
from tandem.errors import ConfigError

TO_HYDRA = re.compile(r"\$\{\s*hydra\.")
"""A reference into Hydra's own part of a configuration."""


def register(primary: str = "train") -> None:
    """Makes the typed roots and the resolvers known to Hydra; may be called again.

    Args:
        primary: the primary configuration, which decides what `train.yaml` may be extended with.
    """
    from hydra.core.config_store import ConfigStore

    take_launchers()
    ConfigStore.instance().store(name="schema_train", node=EXTENDED.get(primary, TrainConfig))
    ConfigStore.instance().store(name="schema_explain_loss", node=ExplainLossConfig)
    ConfigStore.instance().store(name="schema_export", node=ExportConfig)
    ConfigStore.instance().store(name="schema_show_data", node=ShowDataConfig)
    ConfigStore.instance().store(name="schema_audit_data", node=AuditDataConfig)
    ConfigStore.instance().store(name="schema_evaluate", node=EvaluateConfig)
    ConfigStore.instance().store(name="schema_predict", node=PredictConfig)
    ConfigStore.instance().store(name="schema_reproduce", node=ReproduceConfig)
    OmegaConf.register_new_resolver("run_hash", _run_hash, replace=True)
    OmegaConf.register_new_resolver("runs_folder", _runs_folder, replace=True)
    OmegaConf.register_new_resolver("without_medmnist", _without_medmnist, replace=True)


def _run_hash(*, _root_: DictConfig) -> str:
    return run_hash(_plain(_root_))


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


def _without_medmnist(flag: str, size: int, root: str, file: str | None, download: bool) -> bool:
    """Whether a set of MedMNIST is neither given, nor where its package keeps it, nor to be fetched."""
    kept = Path(root).expanduser() / f"{flag}{'' if size == 28 else f'_{size}'}.npz"
    return file is None and not download and not kept.is_file()


def _plain(root: DictConfig) -> dict[str, Any]:
    """The configuration without Hydra's own part, resolved; a value still missing stays `???` and is reported later.

    Tasks come in alphabetical order; `monitor` and `mode` have the values that `auto` stands for.
    """
    own = [str(key) for key in root if key != "hydra"]
    if "hydra" in root and _refers_to_hydra(root):  # which leads nowhere in the job itself, and is refused here too
        root = OmegaConf.masked_copy(root, own)
    with settled_monitor(root):
        plain = {key: _value(root, key) for key in own if key != OFFERS}
    if isinstance(tasks := plain.get("tasks"), dict):  # task=[a,b] and task=[b,a] are one run
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
    """The job's configuration as plain containers with every interpolation resolved.

    Raises:
        ConfigError: a mandatory value that was not given, a key at the root that means nothing, a name that names no
            folder, a reference that leads nowhere.
    """
    root = OmegaConf.get_type(config)
    known = {entry.name for entry in fields(root)} if is_dataclass(root) else set(map(str, config))
    for key in map(str, config):  # `+key=...` can add one all the same
        if key not in known | {"hydra"}:
            raise ConfigError(f"unknown key '{key}': {nearest(key, known)}")
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        plain = _plain(config)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error)) from error
    if missing:
        raise ConfigError(f"{missing[0]} has no value; give it, for instance {missing[0]}=VALUE")
    name = str(plain.get("name", "-"))
    if not name.strip() or ".." in Path(name).parts or Path(name).is_absolute():
        raise ConfigError(f"name is '{name}', but it names a folder below '{plain.get('runs')}'")
    return plain


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested containers as one dict with dotted keys, as trackers want their settings.

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
