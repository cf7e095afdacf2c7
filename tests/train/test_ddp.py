"""Several devices give the numbers of one: alike in every case below, in double precision, to the last digit shown."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tests.distributed.processes import ended
from timm.layers import BatchNormAct2d
from torch import nn

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.loading.loading import loader
from tandem.distributed.count import device_count
from tandem.distributed.sync_batchnorm import SharedBatchNorm, convert_batchnorm
from tandem.distributed.world import ProcessError, World, world
from tandem.errors import ConfigError, DataError, TandemError
from tandem.train import ddp_launch as launch
from tandem.train.ddp_launch import train_on_devices
from tandem.train.run import train, train_here
from tandem.utils.files import read_json

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")

SMALL = [
    "experiment=tiny",
    "data.train=9",  # two batches of four and one of one, which is left out
    "data.val=9",  # the last batch is one row: a device has none of it
    "data.test=6",
    "data.seed=2",  # every class in every split
    "loader.batch_size=4",
    "network.decoder_options.decoder_channels=[8,8,4,4,4]",
    "+network.backbone_options.widths=[4,4,4,4,8]",
    "trainer.max_epochs=2",
    "trainer.precision=64-true",
    "trainer.enable_progress_bar=false",
    "callbacks.panels.count=1",
    "logger=none",
]

PARTLY = ["data.without_label=0.5", "data.without_mask=0.5"]

CASES = {
    "partly": [
        *PARTLY,
        "loss/binary@tasks.segmentation.loss=lovasz",  # no mean over rows
        "tasks.segmentation.loss.per=batch",
        "balance=uncertainty",
        "penalties=l2",
        "scheduler=plateau",
        "trainer.gradient_clip_val=0.1",
        "trainer.accumulate_grad_batches=2",
    ],
    # steps without any target, steps in which one device has none, an encoder that learns from the second epoch on
    "without": [
        *PARTLY,
        "data.without_mask=0.8",
        "loader.batch_size=2",
        "data.val=5",
        "balance=famo",
        "network.freeze=until_epoch_1",
    ],
    # every loss by the rows of each device, with denominators of other kinds than the number of rows
    "by rows": [
        *PARTLY,
        "loss/binary@tasks.segmentation.loss=unified_focal",
        "tasks.classification.loss.weight=[1,2,5]",
        "callbacks=early_stopping",
        "balance=uncertainty",
    ],
    # gradients of each task, added up over the devices before they are combined
    "gradients": [*PARTLY, "balance=pcgrad", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.1"],
    "drawn": [
        "task=[classification,embedding,regression,yes_no]",
        "loss/embedding@tasks.embedding.loss=triplet",  # triplets of the whole batch
        "balance=rlw",
        "loader.sampling=balanced",
        "callbacks=ema",
    ],
}

# Lightning loads a checkpoint before it makes weights double, so a resumed run is bit-equal in single precision only
UNBROKEN = [
    *PARTLY,
    "task=[classification,yes_no]",
    "trainer.precision=32-true",
    "network.dropout=0.5",
    "balance=rlw",
    "scheduler=cosine",
]

REFUSED = {
    "adversary": ["task=segmentation", "adversary@tasks.segmentation.adversary=standard"],
}

PROCESS = """
import json, sys, warnings
from pathlib import Path
import torch.distributed as dist
from tandem.errors import ConfigError
from tandem.train.run import train_here
import tandem.reports.run_report
tandem.reports.run_report.write_report = lambda folder: None
number, folder = int(sys.argv[1]), Path(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=number, world_size=2)
for name, configs in json.loads((folder / "cases.json").read_text()).items():
    for config in configs:
        (folder / name / "results.json").unlink(missing_ok=True)
        dist.barrier()
        try:
            train_here(config, folder / name)
        except ConfigError as error:
            (folder / f"{name}.{number}").write_text(str(error))
dist.destroy_process_group()
"""


def composed(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return resolve(compose("train", [*SMALL, *overrides]))


def on_two(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**config, "trainer": {**config["trainer"], "devices": 2}}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the cases on one device and on two, started once for all of them."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    configs = {name: composed(*overrides) for name, overrides in {**CASES, **REFUSED}.items()}
    asked = {name: [on_two(config)] for name, config in configs.items()}
    unbroken = on_two(composed(*UNBROKEN))
    epoch = {**unbroken, "trainer": {**unbroken["trainer"], "max_epochs": 1}}
    asked["ordinary"] = [on_two(composed(*CASES["by rows"], "trainer.share=none", "trainer.sync_batchnorm=false"))]
    asked |= {"unbroken": [unbroken], "resumed": [epoch, unbroken]}
    (two / "cases.json").write_text(json.dumps(asked))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR", "GROUP_RANK": "0"}
    environment |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(number), str(two)],
            env={**environment, "LOCAL_RANK": str(number), "RANK": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    with ended(processes):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tandem.reports.run_report.write_report", lambda folder: None)
            for name in CASES:
                train_here(configs[name], one / name)
        found = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(found)[-3000:]
    return one, two


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_two_devices_give_the_numbers_of_one(name: str, both: tuple[Path, Path]) -> None:
    alone, shared = (read_json(folder / name / "results.json") for folder in both)
    assert shared["metrics"] == pytest.approx(alone["metrics"], rel=1e-6, abs=1e-7, nan_ok=True)
    for key in ("thresholds", "best_epoch", "curves", "computed", "parameters"):
        assert shared[key] == alone[key]


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_their_weights_are_those_of_one(name: str, both: tuple[Path, Path]) -> None:
    alone, shared = (torch.load(folder / name / "last.ckpt", weights_only=True)["state_dict"] for folder in both)
    assert list(alone) == list(shared)
    for key, value in alone.items():
        torch.testing.assert_close(shared[key], value, rtol=1e-7, atol=1e-9, equal_nan=True, msg=key)


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_all_devices_where_they_are_watched(name: str, both: tuple[Path, Path]) -> None:
    states = [torch.load(folder / name / "last.ckpt", weights_only=True)["callbacks"] for folder in both]
    alone, shared = (state["CollapseWatch"]["history"]["epochs"][0] for state in states)
    assert alone["shares"] or name == "without", "whose first step has one task only"
    for measure in ("norm", "shares", "cosines"):
        assert shared[measure] == pytest.approx(alone[measure], rel=1e-5, abs=1e-7)


@pytest.mark.full
def test_a_resumed_run_on_two_devices_is_an_unbroken_one(both: tuple[Path, Path]) -> None:
    folders = [both[1] / name for name in ("unbroken", "resumed")]
    assert read_json(folders[1] / "results.json")["resumed"]
    unbroken, resumed = (torch.load(folder / "last.ckpt", weights_only=True)["state_dict"] for folder in folders)
    assert all(torch.equal(resumed[key], value) for key, value in unbroken.items())
    assert (folders[0] / "metrics.csv").read_text() == (folders[1] / "metrics.csv").read_text()


@pytest.mark.full
def test_files_are_written_once(both: tuple[Path, Path]) -> None:
    alone, shared = ({path.name for path in (folder / "partly").rglob("*")} for folder in both)
    assert shared == alone
    assert len((both[1] / "partly" / "metrics.csv").read_text().splitlines()) == 3, "a header and two epochs"


@pytest.mark.full
def test_what_would_drift_apart_is_refused_on_every_device(both: tuple[Path, Path]) -> None:
    found = [(both[1] / f"adversary.{number}").read_text() for number in range(2)]
    assert found[0] == found[1]
    assert "trains on one device only" in found[0]
    assert "trainer.devices=1" in found[0]
    assert not (both[1] / "adversary" / "config.yaml").exists(), "refused before the data are read"


@pytest.mark.full
def test_ordinary_ddp_has_losses_of_each_device_and_metrics_of_all(both: tuple[Path, Path]) -> None:
    """Its weights are the same on all devices, but others than those of one; every image is counted once."""
    (results, *_) = (read_json(both[1] / name / "results.json") for name in ("ordinary",))
    alone = read_json(both[0] / "by rows" / "results.json")
    assert results["metrics"].keys() == alone["metrics"].keys()
    assert all(math.isfinite(results["metrics"][key]) for key in ("val/loss", "val/segmentation/dice"))
    assert results["processes"] == 2
    _, *lines = (both[1] / "ordinary" / "metrics.csv").read_text().splitlines()
    assert len(lines) == 2


def test_parts_of_a_batch_are_the_batch(tiny_samples: Callable[..., Any]) -> None:
    samples = tiny_samples(11)
    for shuffled, devices, size in ((True, 2, 4), (True, 3, 5), (False, 4, 5), (False, 2, 5)):
        whole = loader(samples, size, 0, 7, shuffled)
        parts = [loader(samples, size, 0, 7, shuffled, part=(device, devices)) for device in range(devices)]
        assert [len(part) for part in parts] == [len(whole)] * devices
        for batch, *shares in zip(whole, *parts, strict=True):
            mine = [share for share in shares if (share["label"] >= 0).all()]
            assert [name for share in mine for name in share["id"]] == batch["id"]
            for key in batch.keys() - {"id"}:
                assert torch.equal(torch.cat([share[key] for share in mine]), batch[key]), key
            for filled in (share for share in shares if (share["label"] < 0).all()):
                assert len(filled["id"]) == 1
                assert bool((filled["mask"] == 255).all())


@pytest.mark.parametrize(
    ("trainer", "count"),
    [
        ({}, 1),
        ({"devices": 3}, 3),
        ({"devices": "3", "strategy": "ddp"}, 3),
        ({"devices": [1, 2]}, 2),
        ({"devices": "0,3,"}, 2),
        ({"devices": -1, "accelerator": "cpu"}, 1),
    ],
)
def test_devices_are_counted_as_lightning_would(trainer: dict[str, Any], count: int) -> None:
    trainer = {"accelerator": "cpu", **trainer}
    assert device_count({"trainer": trainer, "loader": {"batch_size": 4}}) == count


ORDINARY = {"devices": 2, "share": "none", "sync_batchnorm": False}


@pytest.mark.parametrize("balance", sorted(path.stem for path in (config_folder() / "balance").glob("*.yaml")))
def test_ordinary_ddp_refuses_balances_that_need_the_losses_of_the_whole_batch(balance: str) -> None:
    node = OmegaConf.to_container(OmegaConf.load(config_folder() / "balance" / f"{balance}.yaml"))
    config = {"trainer": ORDINARY, "loader": {"batch_size": 4}, "balance": node}
    assert device_count({**config, "trainer": {"devices": 2, "share": "rows"}}) == 2
    if balance in ("fixed", "dwa", "geometric", "rlw", "uncertainty"):
        assert device_count(config) == 2
        return
    with pytest.raises(ConfigError, match=r"^trainer.share is none, but the balance \w+ needs .* or balance=fixed$"):
        device_count(config)


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ({"devices": 5}, "trainer.devices is 5, more than the 4 rows"),
        ({"devices": 0}, "trainer.devices is 0, but must be a number of at least 1"),
        ({"devices": "two"}, "trainer.devices is 'two'"),
        ({"devices": 2, "strategy": "fsdp"}, "trainer.strategy is fsdp, but several devices use ddp"),
        ({"strategy": "ddp_spawn"}, "trainer.strategy is ddp_spawn"),
        ({"devices": 2, "num_nodes": 2}, "trainer.num_nodes is 2, but this process was started alone"),
        ({**ORDINARY, "sync_batchnorm": True}, "normalisation; set trainer.sync_batchnorm=false too"),
    ],
)
def test_what_devices_cannot_do_is_refused_in_one_line(trainer: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        device_count({"trainer": trainer, "loader": {"batch_size": 4}})
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}

SRUN = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_LOCALID": "1"}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, World()),
        (TORCHRUN, World(3, 4, 2, "torchrun")),
        (SRUN, World(3, 4, 2, "srun")),
        ({**SRUN, **TORCHRUN, "LOCAL_WORLD_SIZE": "4"}, World(3, 4, 4, "torchrun")),  # torchrun inside of srun
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "7"}, World()),  # a batch script without srun
        ({**SRUN, "SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"}, World()),  # a job of a sweep
        ({"RANK": "0", "WORLD_SIZE": "1"}, World()),
    ],
)
def test_processes_that_were_started_together_know_each_other(
    variables: dict[str, str], found: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _started(variables, monkeypatch)
    assert world() == found


def _started(variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_") or name in TORCHRUN]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("trainer", "count"),
    [({"devices": 1}, 4), ({"devices": 2}, 4), ({"devices": "auto"}, 4), ({"devices": 2, "num_nodes": 2}, 4)],
)
def test_devices_and_machines_come_from_what_started_the_processes(
    trainer: dict[str, Any], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variables in (TORCHRUN, SRUN):
        _started(variables, monkeypatch)
        assert device_count({"trainer": trainer, "loader": {"batch_size": 4}}) == count


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ({"devices": 4}, "trainer.devices is 4, but srun started 2 processes on each machine; leave"),
        (
            {"devices": 2, "num_nodes": 3},
            "trainer.num_nodes is 3, but srun started 2 machines; leave",
        ),
        ({"devices": 1, "strategy": "fsdp"}, "trainer.strategy is fsdp"),
    ],
)
def test_what_contradicts_the_started_processes_is_one_line(
    trainer: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _started(SRUN, monkeypatch)
    with pytest.raises(ConfigError, match=words):
        device_count({"trainer": trainer, "loader": {"batch_size": 4}})
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "3,1")
    with pytest.raises(ConfigError, match="srun started 4 tasks on 2 nodes, not the same number on each"):
        world()


def test_other_commands_and_sweeps_are_for_one_process(
    tandem_train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _started({**TORCHRUN, "RANK": "0"}, monkeypatch)
    assert tandem_train("-m", "seed=1,2").error.startswith("torchrun started 4 processes, but a sweep is one")
    _started(TORCHRUN, monkeypatch)
    assert tandem_train("-m", "seed=1,2").err == "", "rank 0 says it"


ERRS = """
import sys
from tandem.cli import run
from tandem.errors import DataError
from tandem.distributed.world import first_failure, tell, told, world
def task(config, folder):
    with first_failure():
        if world().rank:
            assert told() == "train"
            raise DataError("scan.png is torn")
        tell("train")
        import torch.distributed as dist
        dist.barrier()
task.command = None
run(task, "train", processes=lambda config: 2)
"""


@pytest.mark.full
def test_the_first_failure_is_one_line_whatever_rank(tmp_path: Path) -> None:
    script = tmp_path / "errs.py"
    script.write_text(ERRS)
    common = {**os.environ, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    common |= {"MASTER_PORT": str(_free_port()), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), "experiment=tiny"],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    assert said == ["", "error: scan.png is torn\n"]
    (status,) = (read_json(path) for path in tmp_path.glob("runs/tiny/*/status.json"))
    assert (status["state"], status["error"]) == ("failed", "scan.png is torn")
    assert len(list(tmp_path.glob("runs/tiny/*/.hydra"))) == 1


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_search_is_told_that_its_trials_are_on_one_device(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.devices is 2, but each trial of a search uses one device"):
        train(on_two(composed()), tmp_path, [pl.Callback()])


WORKER = """
import json, os, signal, sys, time
from pathlib import Path
job = json.loads(sys.stdin.buffer.readline())
number = int(os.environ["RANK"])
def fail(kind, message, after=0.0):
    time.sleep(after)
    found = {"rank": number, "type": kind, "message": message, "traceback": "Traceback: far away"}
    Path(job["place"], "failure.json").write_text(json.dumps(found))
    sys.exit(1)
"""
"""What a process of a device does first, without the libraries; a test defines what follows."""


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Runs a job on two devices, whose processes run a piece of code."""

    def run(code: str) -> dict[str, Any]:
        monkeypatch.setattr(launch, "COMMAND", (sys.executable, "-c", WORKER + code))
        monkeypatch.setattr(launch, "PATIENCE", 0.3)
        return train_on_devices({"loader": {"batch_size": 4}}, tmp_path, 2)

    return run


WAITS = "\nsys.stdin.buffer.read()"
"""Until the launching process ends it."""


def test_the_first_device_s_results_are_given(job: Callable[[str], dict[str, Any]]) -> None:
    found = "{'count': int(os.environ['WORLD_SIZE']), 'rank': os.environ['LOCAL_RANK']}"
    write = f"if number == 0: Path(job['folder'], 'results.json').write_text(json.dumps({found}))"
    assert job(write) == {"count": 2, "rank": "0"}


def test_an_error_of_one_device_ends_the_others_and_is_raised_unchanged(job: Callable[[str], dict[str, Any]]) -> None:
    begun = time.monotonic()
    with pytest.raises(DataError) as error:
        job("if number: fail('DataError', 'mask.png is torn')" + WAITS)
    assert str(error.value) == "mask.png is torn"
    with pytest.raises(ProcessError) as unforeseen:
        job("if not number: fail('KeyError', 'what')" + WAITS)
    assert str(unforeseen.value) == "KeyError: what (process 0)"
    assert "far away" in str(unforeseen.value.__cause__)
    assert time.monotonic() - begun < launch.GRACE


def test_a_killed_device_is_named_although_the_others_complain_of_it(job: Callable[[str], dict[str, Any]]) -> None:
    with pytest.raises(TandemError, match=r"device 1 was ended by SIGKILL \(out of memory\?\).*to resume"):
        job("if number: os.kill(os.getpid(), signal.SIGKILL)\nfail('RuntimeError', 'connection closed', 0.1)")


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_one_that_started_them(ended_by: signal.Signals, tmp_path: Path) -> None:
    worker = WORKER + "os.write(1, b'%d\\n' % os.getpid())" + WAITS
    code = f"""
import signal, sys
from pathlib import Path
from tandem.train import ddp_launch as launch
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests themselves were started with `&`
launch.COMMAND = (sys.executable, "-c", {worker!r})
launch.train_on_devices({{"loader": {{"batch_size": 4}}}}, Path({str(tmp_path)!r}), 2)
"""
    quiet = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=quiet) as launcher:
        assert launcher.stdout is not None
        started = [int(launcher.stdout.readline()) for _ in range(2)]
        launcher.send_signal(ended_by)
    limit = time.monotonic() + 10
    while any(_runs(process) for process in started) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(_runs(process) for process in started)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_layers_are_replaced_with_what_timm_does_after_them() -> None:
    norm = BatchNormAct2d(3, act_layer=nn.ReLU)
    net = nn.Sequential(nn.Conv2d(1, 3, 1), norm, nn.Sequential(nn.BatchNorm2d(3)))
    before = net.state_dict()
    image = torch.randn(2, 1, 4, 4)
    expected = net.eval()(image)
    convert_batchnorm(net, gpu=False)
    assert isinstance(net[1], SharedBatchNorm)
    assert isinstance(net.get_submodule("2.0"), SharedBatchNorm)
    assert net[1].weight is norm.weight
    assert list(net.state_dict()) == list(before)
    assert torch.equal(net(image), expected)
