"""Real Slurm, two nodes emulated on one machine: equal numbers, honest endings, requeue from the last checkpoint."""

import re
import shlex
import subprocess
from typing import Any

import pytest
from tests.clusters.conftest import Slurm, same, train

from tandem.utils.files import read_json

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def alone(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Results of one process, which no Slurm has started."""
    shell = Slurm(cluster[0], tmp_path_factory.mktemp("alone"), cluster[1])
    shell.run(*train("trainer.max_epochs=4"))
    return shell.left("results.json")


@pytest.mark.parametrize("asked", ["-N2 --ntasks-per-node=1", "-N2 --ntasks-per-node=2 --overcommit", "-N1 -n2"])
def test_srun_gives_the_numbers_of_one_process(asked: str, slurm: Any, alone: dict[str, Any]) -> None:
    said = slurm.run("srun", *asked.split(), *train("trainer.max_epochs=4"))
    found = slurm.left("results.json")
    assert found["processes"] == (4 if "overcommit" in asked else 2)
    assert found["hash"] == alone["hash"]
    assert same(found, alone)
    assert said.count("finished in") == 1
    assert slurm.left("status.json")["state"] == "finished"
    again = slurm.run("srun", *asked.split(), *train("trainer.max_epochs=4"))
    assert again.count("already finished, answered from") == 1


@pytest.mark.parametrize("signal", ["USR1", "TERM"])
@pytest.mark.parametrize("tasks", [1, 2])
def test_a_signal_queues_the_job_again_and_it_resumes(
    tasks: int, signal: str, slurm: Any, alone: dict[str, Any]
) -> None:
    command = shlex.join(train("trainer.max_epochs=4", "checkpoint.requeue=true"))
    job = slurm.submit(f"#SBATCH -N1 -n{tasks} --requeue", f"srun {command}")
    slurm.wait("the first epoch", lambda: bool(list(slurm.directory.rglob("last.ckpt"))))
    slurm.run("scancel", f"--signal={signal}", job)
    assert slurm.ended(job) == "COMPLETED", slurm.said()
    found = slurm.left("results.json")
    assert "is queued again, and will resume" in slurm.said()
    assert found["resumed"], slurm.said()
    assert same(found, alone)
    assert not list(slurm.directory.rglob("hpc_ckpt*"))


@pytest.mark.parametrize("tasks", [1, 2])
def test_scancel_is_an_interruption(tasks: int, slurm: Any) -> None:
    job = slurm.submit(f"#SBATCH -N1 -n{tasks}", f"srun {shlex.join(train('trainer.max_epochs=50'))}")
    slurm.wait("the first epoch", lambda: "epoch 0/49" in slurm.said())
    slurm.run("scancel", job)
    slurm.wait("the status", lambda: slurm.left("status.json")["state"] != "running", 60)
    assert slurm.left("status.json")["state"] == "interrupted", slurm.said()
    assert "Traceback" not in slurm.said()


SWEEP = [
    *("-m", "seed=0,1", "trainer.max_epochs=4", "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=20"),
    *("hydra.launcher.cpus_per_task=1", "hydra.launcher.nodes=2", "hydra.launcher.array_parallelism=1"),
]
"""Two runs on two nodes each, one after the other."""


def test_a_sweep_of_runs_on_two_nodes_outlives_its_head_and_is_not_queued_twice(
    slurm: Any, alone: dict[str, Any]
) -> None:
    pytest.importorskip("submitit")
    head = subprocess.Popen(train(*SWEEP), cwd=slurm.directory, env=slurm.variables, stdout=subprocess.DEVNULL)
    slurm.wait("the first job", lambda: len(list(slurm.directory.glob("runs/*/*/status.json"))) == 1)
    head.kill()
    head.wait()
    before = slurm.run("squeue", "--noheader", "--array", "--format=%i").split()
    said = slurm.run(*train(*SWEEP))
    assert re.search("[12] of the jobs still in Slurm's queue: not queued again", said)
    assert "sweep: 2 finished, 0 failed" in said
    assert "sacct" not in said
    found = sorted(slurm.directory.glob("runs/*/*/results.json"))
    assert len(before) == len(found) == 2
    results = [read_json(path) for path in found]
    assert [each["processes"] for each in results] == [2, 2]
    assert any(same(each, alone) for each in results if each["seed"] == 0)
    arrays = set(re.findall(r"ArrayJobId=(\d+)", slurm.run("scontrol", "show", "jobs", "-o")))
    assert len(arrays) == 1


def test_what_contradicts_srun_is_one_line_before_the_lock(slurm: Any) -> None:
    said = slurm.run("srun", "-N2", "--ntasks-per-node=1", *train("trainer.devices=4"), check=False)
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    assert lines == [
        "error: trainer.devices is 4, but srun started 1 processes on each machine; leave trainer.devices out, or "
        "start as many"
    ]
    assert not list(slurm.directory.rglob("status.json"))
