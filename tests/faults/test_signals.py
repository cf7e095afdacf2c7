"""SIGTERM, and SIGUSR1 ahead of a limit of Slurm, end a run in order: saved, with its state and exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch

from tandem.callbacks.loop_state import within_epoch
from tandem.utils import signals

LONG = (
    *(
        "experiment=tiny",
        "data.train=64",
        "data.val=12",
        "data.test=12",
        "data.seed=3",
        "trainer.max_epochs=500",
        "logger=none",
    ),
    *("callbacks.panels=null", "name=long", "loader.batch_size=2"),
)


def ended_by(
    number: int, words: Sequence[str], place: Path, variables: Mapping[str, str] | None = None
) -> tuple[int, str, list[Path]]:
    """Sends a signal to a training command when it has saved a checkpoint; exit code, stderr, and folders of runs."""
    command = [sys.executable, "-m", "tandem.train", *LONG, *words]
    printed = place / "stderr"
    with (
        printed.open("wb") as errors,
        subprocess.Popen(
            command, cwd=place, env={**os.environ, **(variables or {})}, stderr=errors, stdout=subprocess.DEVNULL
        ) as process,
    ):
        while not list(place.glob("runs/long/*/last.ckpt")):
            assert process.poll() is None, printed.read_text()
            time.sleep(0.05)
        process.send_signal(number)
        code = process.wait(timeout=60)
    return code, printed.read_text(), sorted(path.parent for path in place.glob("runs/long/*/last.ckpt"))


def state(folder: Path) -> str:
    """What `status.json` says."""
    return str(json.loads((folder / "status.json").read_text())["state"])


def test_sigterm_ends_a_run_as_interrupted(tmp_path: Path) -> None:
    code, printed, (folder,) = ended_by(signal.SIGTERM, ["loader.workers=1"], tmp_path)
    assert (code, state(folder)) == (143, "interrupted")
    assert printed.splitlines() == ["error: interrupted; rerun the same command to resume"]
    assert not within_epoch(torch.load(folder / "last.ckpt", weights_only=True))
    assert not (folder / "results.json").exists()


@pytest.mark.full
def test_a_signal_of_slurm_saves_the_step_and_queues_the_job_again(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    program.chmod(0o755)
    variables = {"PATH": f"{program.parent}:{os.environ['PATH']}", "SLURM_JOB_ID": "42"}
    # the first checkpoint is saved at the signal, or at the end of the epoch before it
    words = ["checkpoint.every_n_steps=3", "checkpoint.requeue=true"]
    code, _, (folder,) = ended_by(signal.SIGUSR1, words, tmp_path, variables)
    assert (code, state(folder)) == (128 + signal.SIGUSR1, "interrupted")
    assert (tmp_path / "asked").read_text() == "requeue 42\n"
    saved = torch.load(folder / "last.ckpt", weights_only=True)
    assert within_epoch(saved) or saved["global_step"] % 32 == 0


@pytest.mark.full
def test_sigterm_ends_a_sweep_and_its_job(tmp_path: Path) -> None:
    code, _, (folder,) = ended_by(signal.SIGTERM, ["-m", "seed=1,2"], tmp_path)
    assert (code, state(folder)) == (143, "interrupted")


def test_a_held_signal_waits_for_the_end_of_the_step() -> None:
    with signals.kept():
        signals.install()
        signals.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.waiting()
        with pytest.raises(signals.Terminated, match="SIGTERM") as stop:
            signals.release()
        assert signals.exit_code(stop.value) == 143
        signals.hold()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(signals.Terminated):  # the second does not wait
            os.kill(os.getpid(), signal.SIGTERM)
        assert not signals.waiting()
