"""Where a configuration is looked for, its values with every reference resolved, and the identity (hash) of a run.

Nothing heavy is imported here, so that `--help` and `--cfg job` answer at once.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tandem.config.metric_nodes import without_shown_as
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
from tandem.utils.files import known_sha256

NOT_IDENTITY = (
    "name",
    "runs",
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
)
"""Settings that change where or how a run is shown, but no number of it; except a callback's that has `stop: true`."""

PATHS = ("data.root", "data.subset", "data.file")
"""Settings that are paths: one folder or file is one identity, however it is typed."""

CONTENTS = ("data.split_file", "network.weights")
"""Settings that are files whose content is the identity, wherever they lie."""


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
    OmegaConf.register_new_resolver("without_medmnist", _without_medmnist, replace=True)


def _run_hash(*, _root_: DictConfig) -> str:
    return run_hash(_plain(_root_))


def _without_medmnist(flag: str, size: int, root: str, file: str | None, download: bool) -> bool:
    """Whether a set of MedMNIST is neither given, nor where its package keeps it, nor to be fetched."""
    kept = Path(root).expanduser() / f"{flag}{'' if size == 28 else f'_{size}'}.npz"
    return file is None and not download and not kept.is_file()


def _plain(root: DictConfig) -> dict[str, Any]:
    """The configuration without Hydra's own part, resolved; a value still missing stays `???` and is reported later."""
    own = [str(key) for key in root if key != "hydra"]
    if "hydra" in root and _refers_to_hydra(root):  # which leads nowhere in the job itself, and is refused here too
        root = OmegaConf.masked_copy(root, own)
    return {key: _value(root, key) for key in own}


def _refers_to_hydra(root: DictConfig) -> bool:
    as_typed = OmegaConf.to_container(root, resolve=False)
    assert isinstance(as_typed, dict)
    return any(TO_HYDRA.search(repr(value)) for key, value in as_typed.items() if key != "hydra")


def _value(root: DictConfig, key: str) -> Any:
    if OmegaConf.is_missing(root, key):
        return "???"
    value = root[key]
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=False) if OmegaConf.is_config(value) else value


def run_hash(config: Mapping[str, Any]) -> str:
    """Twelve hex digits that name a run: SHA-256 over every setting that can change its numbers.

    Args:
        config: the resolved configuration as plain containers.

    Example:
        >>> run_hash({"seed": 1, "name": "a"}) == run_hash({"name": "b", "seed": 1})
        True
        >>> run_hash({"seed": 1}) == run_hash({"seed": 2})
        False
    """
    defining = copy.deepcopy(dict(config))
    for key in NOT_IDENTITY:
        for parent, last in _places(defining, key):
            if not (isinstance(node := parent.get(last), dict) and node.get("stop") is True):  # it may end a run early
                parent.pop(last, None)
    for key in (*PATHS, *CONTENTS):
        for parent, last in _places(defining, key):
            if isinstance(path := parent.get(last), str):
                parent[last] = _content(path) if key in CONTENTS else str(Path(path).expanduser().resolve())
    if isinstance(tasks := defining.get("tasks"), dict):
        defining["tasks"] = {name: without_shown_as(task) for name, task in tasks.items()}
    canonical = json.dumps(defining, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _content(path: str) -> str:
    """SHA-256 of a file; the path itself where there is none, which is told of later."""
    file = Path(path).expanduser()
    return known_sha256(file) if file.is_file() else path


def _places(config: dict[str, Any], key: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Where a setting may stand: at its key, and for `data.x` in each source of mixed data, `data.sources.<name>.x`."""
    yield _parent(config, key)
    group, _, rest = key.partition(".")
    data = config.get("data")
    sources = data.get("sources") if group == "data" and isinstance(data, dict) else None
    for name in sources if isinstance(sources, dict) else ():
        yield _parent(config, f"data.sources.{name}.{rest}")


def _parent(config: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """The dict that a dotted key leads into (an empty one, where it leads nowhere), and the key's last part."""
    *parents, last = key.split(".")
    node: Any = config
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    return (node if isinstance(node, dict) else {}), last


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
