"""Types of the launchers' options. `conf/hydra/launcher/` has their meanings and defaults."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class ProcessesOptions:
    """Processes on this machine."""

    _target_: str = "hydra_plugins.tandem_launchers.launchers.Processes"
    n_jobs: Any = MISSING  # a number or `auto`
    threads: int | None = None
    timeout_min: float | None = None
    devices: list[Any] | None = None
    keep_going: bool = MISSING


@dataclass
class SubmititOptions:
    """Options that both submitit launchers share."""

    _target_: str = MISSING
    n_jobs: int | None = None
    folder: str = MISSING
    timeout_min: int = MISSING
    cpus_per_task: int = MISSING
    gpus_per_node: int = MISSING
    mem_gb: float | None = None
    max_num_timeout: int = MISSING


@dataclass
class SubmititLocalOptions(SubmititOptions):
    """Submitit on this machine."""

    _target_: str = "hydra_plugins.tandem_launchers.launchers.SubmititLocal"


@dataclass
class SubmititSlurmOptions(SubmititOptions):
    """Submitit with Slurm."""

    _target_: str = "hydra_plugins.tandem_launchers.launchers.SubmititSlurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: int = MISSING
    tasks_per_node: int = MISSING
    gres: str | None = None
    exclude: str | None = None
    signal_delay_s: int = MISSING
    array_parallelism: int = MISSING
    setup: list[str] | None = None
    additional_parameters: dict[str, Any] = MISSING


@dataclass
class RayOptions:
    """Tasks of a Ray cluster."""

    _target_: str = "hydra_plugins.tandem_launchers.launchers.Ray"
    address: str | None = None
    n_jobs: int | None = None
    cpus: float = MISSING
    gpus: float = MISSING
    timeout_min: float | None = None
    retries: int = MISSING


# Hydra imports this package to find the launchers, and reads their types from its store
for name, node in {
    "processes": ProcessesOptions,
    "submitit_local": SubmititLocalOptions,
    "submitit_slurm": SubmititSlurmOptions,
    "ray": RayOptions,
}.items():
    ConfigStore.instance().store(name=f"schema_launcher_{name}", node=node)
