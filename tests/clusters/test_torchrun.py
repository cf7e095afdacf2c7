"""One run in several processes, as people start it: the metrics of one process, also after one of them was killed.

In float64, to a relative 1e-6 and an absolute 1e-7, the last digits that float32 values in `results.json` have.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.clusters.conftest import free_ports, same, train

from tandem.utils.files import read_json

pytestmark = pytest.mark.full

TORCHRUN = (sys.executable, "-m", "torch.distributed.run")

WORDS = ["trainer.max_epochs=3", "data.without_label=0.3", "data.without_mask=0.3", "callbacks=ema"]

VARIABLES = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def started(command: Sequence[str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, cwd=folder, env=VARIABLES, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(command: Sequence[str], folder: Path) -> tuple[int, str]:
    process = started(command, folder)
    said = process.communicate(timeout=500)[0]
    return process.returncode, said


def left(folder: Path, name: str = "results.json") -> dict[str, Any]:
    (path,) = folder.glob(f"runs/*/*/{name}")
    found: dict[str, Any] = read_json(path)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("alone")
    code, said = ended(train(*WORDS), folder)
    assert code == 0, said
    return left(folder)


@pytest.mark.parametrize(("count", "share"), [(2, "rows"), (4, "rows"), (2, "batch")])
def test_torchrun_gives_the_numbers_of_one_process(
    count: int, share: str, alone: dict[str, Any], tmp_path: Path
) -> None:
    command = [*TORCHRUN, "--standalone", f"--nproc_per_node={count}", *train(*WORDS)[1:], f"trainer.share={share}"]
    code, said = ended(command, tmp_path)
    assert code == 0, said
    assert said.count("finished in") == 1
    found = left(tmp_path)
    assert found["processes"] == count
    assert same(found, alone)
    assert found["thresholds"] == alone["thresholds"]
    assert (found["hash"] == alone["hash"]) == (share == "rows")


def test_two_torchruns_are_two_machines(alone: dict[str, Any], tmp_path: Path) -> None:
    port = free_ports(1)[0]
    shared = [f"--master_port={port}", "--master_addr=127.0.0.1", "--nnodes=2", "--nproc_per_node=1"]
    nodes = [started([*TORCHRUN, *shared, f"--node_rank={node}", *train(*WORDS)[1:]], tmp_path) for node in range(2)]
    said = [node.communicate(timeout=500)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert same(left(tmp_path), alone)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("starter", ["torchrun", "tandem"])
def test_a_killed_process_ends_the_run_and_the_same_command_resumes_it(
    starter: str, rank: int, alone: dict[str, Any], tmp_path: Path
) -> None:
    command = [*TORCHRUN, "--standalone", "--nproc_per_node=2", *train(*WORDS)[1:]]
    if starter == "tandem":
        command = train(*WORDS, "trainer=ddp")
    process = started(command, tmp_path)
    until = time.monotonic() + 300
    while not list(tmp_path.rglob("last.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(_of_rank(process.pid, rank), signal.SIGKILL)
    said = process.communicate(timeout=300)[0]
    assert process.returncode != 0
    if starter == "tandem":
        assert f"error: the process of device {rank} was ended by SIGKILL" in said
    if (starter, rank) != ("torchrun", 0):  # whose status was to be written by the process that was killed
        assert left(tmp_path, "status.json")["state"] in ("failed", "interrupted")
    code, said = ended(command, tmp_path)
    assert code == 0, said
    found = left(tmp_path)
    assert found["resumed"]
    assert same(found, alone)


def _of_rank(parent: int, rank: int) -> int:
    """The process of a rank among the children of a process."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            ours = int((path / "stat").read_text().rpartition(")")[2].split()[1]) == parent
            variables = (path / "environ").read_bytes().split(b"\0") if ours else []
        except OSError:
            continue
        if f"RANK={rank}".encode() in variables:
            return int(path.name)
    raise AssertionError(f"no process of rank {rank}")
