"""The processes of one run: who this one is, how they find each other, and which of them failed first.

torchrun, srun or a job controller of Kubernetes starts them, or tandem itself (`train/ddp_launch`), which sets
torchrun's variables. Lightning's cluster environments read the rest.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tandem import errors
from tandem.errors import ConfigError, TandemError
from tandem.utils.machine import SHARED
from tandem.utils.signals import interruption

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
    from torch._C._distributed_c10d import Store

MINUTES = 30.0
"""How long the processes wait for each other, unless `trainer.collective_timeout_min` says otherwise."""

FIRST, TOLD = "tandem/first_failure", "tandem/told"
"""Keys of the store that the processes share."""

GONE = re.compile(r"[Cc]onnection (closed|reset|refused)|Broken pipe|[Tt]imed out|Socket|DistNetworkError|NCCL")
"""What torch says where another process is gone or cannot be reached."""


class World(NamedTuple):
    """The processes that were started together.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
        here: number of processes on each machine.
        starter: what started them; empty for a process that was started alone.
    """

    rank: int = 0
    size: int = 1
    here: int = 1
    starter: str = ""


class ProcessError(Exception):
    """An unexpected error in one of several processes."""


class ElsewhereError(TandemError):
    """What another process of the run has failed with, and has printed."""


def world() -> World:
    """This process among those that were started together, by the environment; no library is imported.

    A batch script of Slurm that calls python without srun is one process, whatever it has reserved.

    Raises:
        ConfigError: the machines have different numbers of processes.
    """
    known = os.environ
    if "RANK" in known and "WORLD_SIZE" in known:
        rank, size, here = int(known["RANK"]), int(known["WORLD_SIZE"]), int(known.get("LOCAL_WORLD_SIZE", 1))
        found = World(rank, size, here, "torchrun")
    elif "SLURM_PROCID" in known and "SLURM_STEP_NUM_TASKS" in known:
        size, nodes = int(known["SLURM_STEP_NUM_TASKS"]), int(known.get("SLURM_STEP_NUM_NODES", 1))
        if size % nodes or "," in known.get("SLURM_STEP_TASKS_PER_NODE", ""):
            raise ConfigError(
                f"srun started {size} tasks on {nodes} nodes, not the same number on each; give --ntasks-per-node"
            )
        found = World(int(known["SLURM_PROCID"]), size, size // nodes, "srun")
    else:
        return World()
    return found if found.size > 1 else World()


def environment() -> "ClusterEnvironment":
    """Lightning's environment of these processes; never the one that queues a job of Slurm again by itself."""
    from lightning_fabric.plugins.environments.kubeflow import KubeflowEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if "RANK" in os.environ:
        return TorchElasticEnvironment() if "LOCAL_RANK" in os.environ else KubeflowEnvironment()
    here = world()
    os.environ["SLURM_NTASKS_PER_NODE"] = str(here.here)  # of this step; Lightning reads those of the whole job
    os.environ["SLURM_NNODES"] = str(here.size // here.here)
    slurm = SLURMEnvironment(auto_requeue=False)
    if "MASTER_ADDR" not in os.environ and (nodes := os.environ.get("SLURM_STEP_NODELIST")):
        os.environ["MASTER_ADDR"] = slurm.resolve_root_node_address(nodes)
    step = int(os.environ.get("SLURM_STEP_ID", 0))  # two steps of a job may run side by side
    os.environ.setdefault("MASTER_PORT", str(15000 + (int(os.environ["SLURM_JOB_ID"]) + 331 * step) % 15000))
    return slurm


class _Shared:
    """The store of the processes, while they are joined."""

    store: "Store | None" = None


@contextmanager
def joined(trainer: Mapping[str, Any], meeting: str = "env://") -> Iterator[World]:
    """Inside, the processes of a run are joined; a process alone is not touched.

    Args:
        trainer: `accelerator`, `devices` and `collective_timeout_min` of the configuration.
        meeting: where they meet: an address as of `torch.distributed.init_process_group`.

    Raises:
        TandemError: the others cannot be reached.
    """
    found = world()
    if found.size == 1:
        yield found
        return
    if found.here > 1:
        os.environ[SHARED] = "1"
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns if no head was unused in the first step
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    minutes, cluster = trainer.get("collective_timeout_min") or MINUTES, environment()
    gpu = trainer.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if gpu:
        listed = trainer.get("devices")
        torch.cuda.set_device(listed[cluster.local_rank()] if isinstance(listed, list) else cluster.local_rank())
    elif sys.platform == "linux" and found.here == found.size:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the machine's host name may not resolve
    limit = timedelta(minutes=minutes)
    if meeting == "env://":
        os.environ.update(MASTER_ADDR=cluster.main_address, MASTER_PORT=str(cluster.main_port))
    try:
        store, *_ = next(rendezvous(meeting, found.rank, found.size, timeout=limit))
        dist.init_process_group(
            "nccl" if gpu else "gloo", store=store, rank=found.rank, world_size=found.size, timeout=limit
        )
    except (RuntimeError, ValueError) as error:
        raise TandemError(f"the {found.size} processes of {found.starter} do not find each other: {error}") from error
    _Shared.store = store
    try:
        yield found
        dist.barrier()
        dist.destroy_process_group()
    except BaseException as error:
        note(error)  # the store stays, for those that ask which failure was the first
        raise
    _Shared.store = None


def note(error: BaseException) -> dict[str, Any]:
    """Tells the other processes of an error, unless one has failed before; gives the first failure of all."""
    rank, stop = world().rank, interruption(error)
    mine = {
        "rank": rank,
        "type": type(stop or error).__name__,
        "message": " ".join(str(stop or error).split()),
        "traceback": "".join(traceback.format_exception(error)),
        "stopped": stop is not None,
        "gone": isinstance(error, RuntimeError) and GONE.search(str(error)) is not None,
    }
    store = _Shared.store
    if store is None:
        return mine
    try:
        if mine["gone"]:  # the consequence of a failure; without one, the other process was killed
            return json.loads(store.get(FIRST)) if store.check([FIRST]) else mine
        store.compare_set(TOLD, "", "failed")
        first: dict[str, Any] = json.loads(store.compare_set(FIRST, "", json.dumps(mine)))
    except RuntimeError:  # the process that holds the store has gone
        return mine
    return first


def as_error(failure: Mapping[str, Any]) -> Exception:
    """A failure that was noted, as the error that a process would raise."""
    kind = getattr(errors, failure["type"], None)
    if isinstance(kind, type) and issubclass(kind, TandemError):
        return kind(failure["message"])
    error = ProcessError(f"{failure['type']}: {failure['message']} (process {failure['rank']})")
    error.__cause__ = ProcessError(f"\n{failure['traceback']}")
    return error


@contextmanager
def first_failure() -> Iterator[None]:
    """Inside, an error is raised as that of the process that failed first, whose consequence it is."""
    try:
        yield
    except BaseException as error:
        if _Shared.store is None or isinstance(error, GeneratorExit):
            raise
        first, rank = note(error), world().rank
        if first["gone"]:
            raise TandemError(
                f"another process of the run has gone, or cannot be reached ({first['message'][:200]}); rerun the same "
                "command to resume"
            ) from error
        if first["rank"] == rank:
            raise
        if first["stopped"]:
            raise KeyboardInterrupt(first["message"]) from None
        if rank:
            raise SystemExit(1) from None
        raise ElsewhereError(f"{as_error(first)}") from error


def tell(word: str) -> None:
    """Rank 0 tells the other processes what it does: they wait for that in `told`."""
    if _Shared.store is not None:
        _Shared.store.compare_set(TOLD, "", word)


def told() -> str:
    """What rank 0 has told; `failed` if a process has failed before."""
    assert _Shared.store is not None
    return _Shared.store.get(TOLD).decode()
