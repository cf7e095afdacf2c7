"""A sweep on a Ray cluster of two nodes, both on this machine: equal numbers, also if a worker or a node was lost."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clusters.conftest import same, train

from tandem.utils.files import read_json

pytestmark = pytest.mark.full

ONE = ["trainer.max_epochs=8"]

SWEEP = ["-m", "seed=0,1", *ONE, "hydra/launcher=ray", "hydra.launcher.retries=2"]

VARIABLES = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def nodes() -> Iterator[Any]:
    """A cluster whose head has no core, so that each of two jobs runs on a node of its own."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra ray")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)  # of the processes of the cluster
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1)
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """Results without Ray, by seed."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run(train("-m", "seed=0,1", *ONE), cwd=folder, env=VARIABLES, check=True, capture_output=True)
    return _results(folder)


def _results(folder: Path) -> dict[int, dict[str, Any]]:
    found = [read_json(path) for path in folder.glob("runs/*/*/results.json")]
    return {each["seed"]: each for each in found}


def _wait(what: str, done: Callable[[], Any], sweep: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 400
    while not done():
        assert sweep.poll() is None, f"{what}: {sweep.communicate()[0]}"
        assert time.monotonic() < until, what
        time.sleep(0.1)


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _kill_worker(cluster: Any, job: int) -> None:
    os.kill(_parent(job), signal.SIGKILL)


def _kill_node(cluster: Any, job: int) -> None:
    raylet = _parent(_parent(job))
    (lost,) = (node for node in cluster.worker_nodes if raylet in _processes(node))
    cluster.remove_node(lost, allow_graceful=False)
    cluster.add_node(num_cpus=1)


def _processes(node: Any) -> set[int]:
    return {each.process.pid for several in node.all_processes.values() for each in several}


@pytest.mark.parametrize("kill", [None, _kill_worker, _kill_node], ids=["none", "worker", "node"])
def test_jobs_end_with_equal_results(
    kill: Callable[[Any, int], None] | None, nodes: Any, alone: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    command = train(*SWEEP, f"hydra.launcher.address={nodes.address}")
    with subprocess.Popen(
        command, cwd=tmp_path, env=VARIABLES, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as sweep:
        _wait("the first checkpoint", lambda: list(tmp_path.rglob("last.ckpt")), sweep)
        folder = next(tmp_path.rglob("last.ckpt")).parent
        if kill is not None:
            kill(nodes, read_json(folder / "status.json")["process"])
        said = sweep.communicate(timeout=500)[0]
    assert sweep.returncode == 0, said
    assert "sweep: 2 finished, 0 failed" in said
    found = _results(tmp_path)
    assert found.keys() == alone.keys() == {0, 1}
    assert all(same(found[seed], alone[seed]) for seed in found)
    assert read_json(folder / "results.json")["resumed"] == (kill is not None)
