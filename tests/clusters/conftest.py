"""A real Slurm with two nodes, emulated on this machine (`slurmd -N`); skipped with a reason where it cannot be."""

import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tandem.utils.files import read_json

INSTALL = "TANDEM_INSTALL_SLURM"
"""Environment variable; 1 lets the tests install Slurm on a Debian system, as root."""

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")

CONFIGURATION = """
ClusterName=two
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={place}/munge.sock
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmUser=root
SlurmdUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool.%n
SlurmctldPidFile={place}/ctld.pid
SlurmdPidFile={place}/d.%n.pid
SlurmctldLogFile={place}/ctld.log
SlurmdLogFile={place}/d.%n.log
SchedulerParameters=batch_sched_delay=1,sched_interval=2,requeue_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=20
MinJobAge=300
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cores} State=UNKNOWN
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cores} State=UNKNOWN
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"

SMALL = [
    *("experiment=tiny", "data.train=9", "data.val=9", "data.test=6", "data.seed=2", "loader.batch_size=4"),
    *("network.decoder_options.decoder_channels=[8,8,4,4,4]", "+network.backbone_options.widths=[4,4,4,4,8]"),
    *("trainer.precision=64-true", "logger=none", "callbacks.panels=null", "trainer.enable_progress_bar=false"),
]


def train(*words: str) -> list[str]:
    """A small run, as it is typed."""
    return [sys.executable, str(SCRIPT), *SMALL, *words]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two runs have the same metrics, to the last digit that float32 shows."""
    return one["metrics"].keys() == other["metrics"].keys() and all(
        math.isclose(value, other["metrics"][key], rel_tol=1e-6, abs_tol=1e-7) or math.isnan(value)
        for key, value in one["metrics"].items()
    )


class Slurm:
    """What a person types on a login node of the cluster."""

    def __init__(self, place: Path, directory: Path, variables: Mapping[str, str]) -> None:
        self.place, self.directory, self.variables = place, directory, variables

    def run(self, *words: str, check: bool = True) -> str:
        """A command's output."""
        done = subprocess.run(
            list(words), cwd=self.directory, env=dict(self.variables), capture_output=True, text=True, timeout=400
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, *lines: str) -> str:
        """Queues a batch script; gives the job's number."""
        script = self.directory / "job.sh"
        script.write_text("\n".join(["#!/bin/bash", *lines]) + "\n")
        return self.run("sbatch", "--parsable", "--output=out.txt", "--open-mode=append", str(script)).strip()

    def state(self, job: str) -> str:
        """PENDING, RUNNING, COMPLETED, ..."""
        said = self.run("scontrol", "show", "job", job, "-o")
        return said.split("JobState=")[1].split()[0]

    def wait(self, what: str, done: Callable[[], bool], seconds: float = 300) -> None:
        """Waits for something."""
        until = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < until, f"{what}: {self.said()}"
            time.sleep(0.3)

    def said(self) -> str:
        """What the jobs have printed."""
        path = self.directory / "out.txt"
        return path.read_text() if path.exists() else ""

    def ended(self, job: str) -> str:
        """Waits for a job's end; gives its state."""
        self.wait(f"job {job} ends", lambda: self._now(job) not in ("PENDING", "RUNNING", "COMPLETING"))
        return self.state(job)

    def _now(self, job: str) -> str:
        """A job's state; one that was queued again need not wait for two minutes, as Slurm has it."""
        if (state := self.state(job)) == "PENDING":
            self.run("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)
        return state

    def left(self, name: str, runs: str = "runs") -> dict[str, Any]:
        """A file of the one run below a folder; empty if there is none."""
        found = list((self.directory / runs).glob(f"*/*/{name}"))
        content: dict[str, Any] = read_json(found[0]) if found else {}
        return content


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """Folder and environment variables of a cluster that runs as long as the tests."""
    search = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    if not _found(search) and os.environ.get(INSTALL) == "1" and os.getuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "slurm-wlm"], check=True, capture_output=True)
    if not _found(search):
        pytest.skip(f"no Slurm here; {INSTALL}=1 lets the tests install slurm-wlm, on Debian as root")
    if os.getuid() != 0:
        pytest.skip("Slurm is here, but only root can start a cluster of its own")
    place = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool.n1", "spool.n2"):
        (place / name).mkdir()
    text = CONFIGURATION.format(place=place, ports=free_ports(3), cores=os.cpu_count())
    (place / "slurm.conf").write_text(text)
    (place / "key").write_bytes(os.urandom(128))
    (place / "key").chmod(0o400)
    place.chmod(0o755)
    variables = {**os.environ, "PATH": search, "SLURM_CONF": str(place / "slurm.conf"), "OMP_NUM_THREADS": "1"}
    variables |= {"MASTER_ADDR": "127.0.0.1"}  # the names of emulated nodes are no addresses
    munge = ["munged", "--force", "--foreground", f"--key-file={place}/key", f"--socket={place}/munge.sock"]
    munge += [f"--pid-file={place}/munge.pid", f"--log-file={place}/munge.log", f"--seed-file={place}/seed"]
    commands = [munge, ["slurmctld", "-D", "-i"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = []
    try:
        for command in commands:
            started.append(subprocess.Popen(command, env=variables, **quiet))  # type: ignore[call-overload]
            time.sleep(1)
        until = time.monotonic() + 60
        while "idle" not in _nodes(variables) or "unk" in _nodes(variables):
            if time.monotonic() > until:
                pytest.skip(f"Slurm does not start here: {_nodes(variables)}")
            time.sleep(0.5)
        yield place, variables
    finally:
        subprocess.run(["scancel", "--full", "--user=root"], env=variables, check=False, capture_output=True)
        for process in reversed(started):
            process.terminate()
            process.wait(30)


@pytest.fixture
def slurm(cluster: tuple[Path, dict[str, str]], tmp_path: Path) -> Slurm:
    """The cluster, with a folder for one test."""
    place, variables = cluster
    return Slurm(place, tmp_path, variables)


def _found(search: str) -> bool:
    return sys.platform == "linux" and all(shutil.which(name, path=search) for name in NEEDED)


def _nodes(variables: Mapping[str, str]) -> str:
    done = subprocess.run(["sinfo", "-h", "-o", "%T"], env=dict(variables), capture_output=True, text=True, check=False)
    return done.stdout


def free_ports(count: int) -> list[int]:
    """Ports that no one listens to."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
