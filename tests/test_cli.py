"""Bad input gets one clear line on stderr, exit code 1, and no half-written results."""

import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from tandem import cli
from tandem.errors import ConfigError

Command = Callable[..., Any]

SMALL = [
    *("experiment=tiny", "logger=none", "callbacks.panels=null", "callbacks.progress=null"),
    *("data.train=12", "data.val=12", "data.test=12", "data.seed=3", "loader.batch_size=12"),
]
KIND = ["~loss/binary@tasks.segmentation.loss", "+loss/multiclass@tasks.segmentation.loss=cross_entropy"]

# ---------------------------------------------------------------------------------------------------- one line for each

BEFORE_A_JOB = [
    (["sed=3"], "unknown key 'sed': did you mean 'seed'? "),
    (["tasks.segmentation.loss.gama=3"], "unknown key 'tasks.segmentation.loss.gama': did you mean 'gamma'? "),
    (["network=unett"], "no option 'unett' in the config group 'network': did you mean 'unet'? "),
    (["loss/binary@tasks.segmentation.loss=focall"], "no option 'focall' in the config group 'loss/binary': did you "),
    (["loss/multiclass@tasks.segmentation.loss=focal"], "nothing is chosen with 'loss/multiclass@tasks.segmentation."),
    (
        ["loss/binary@tasks.classification.loss=focal"],
        "nothing is chosen with 'loss/binary@tasks.classification.loss';",
    ),
    (["name=[a"], "'name=[a' cannot be read ("),
    (["seed"], "'seed' cannot be read; write key=value"),
    (["loader.batch_size=abc"], "loader.batch_size: value 'abc' of type 'str' could not be converted to Integer"),
    (["optimizer.lr=${nope}"], "optimizer.lr: interpolation key 'nope' not found"),
    (["--config-name", "nothing"], "no config 'nothing' in the shipped folder or in --config-dir"),
    (["--config-dir", "/nothing/here"], "Additional config directory '/nothing/here' not found"),
    (["-m", "network=unet,unett"], "no option 'unett' in the config group 'network': did you mean 'unet'? "),
    (["-m", "optimizer.lrr=1,2"], "unknown key 'optimizer.lrr': did you mean 'lr'? "),
    (["optimizer.lr=1", "-m", "seed=1,2", "optimizer.lrr=1,2"], "unknown key 'optimizer.lrr': did you mean 'lr'? "),
]


@pytest.mark.parametrize(("arguments", "line"), BEFORE_A_JOB, ids=[" ".join(typed) for typed, _ in BEFORE_A_JOB])
def test_a_configuration_that_does_not_compose_starts_no_job(
    tandem_train: Command, tmp_path: Path, arguments: list[str], line: str
) -> None:
    done = tandem_train(*arguments, *SMALL)
    assert done.code == 1
    assert done.error.startswith(line)
    assert done.out == ""
    assert not list(tmp_path.rglob("status.json"))


IN_A_JOB = [
    (["+sed=3"], "unknown key 'sed': did you mean 'seed'? "),
    (["name=''"], "name is '', but must be the name of a folder below 'runs'"),
    (["monitor=train/loss"], "monitor is 'train/loss'; the best epoch is chosen on validation data, so val/..."),
    (["monitor=val/segmentatoin/dice"], "monitor is 'val/segmentatoin/dice', but there is no task 'segmentatoin'"),
    (["mode=maximum"], "mode is 'maximum', but must be 'min' or 'max'"),
    (["loader.batch_size=0"], "loader.batch_size is 0, but must be a whole number of at least 1"),
    (["loader.workers=-1"], "loader.workers is -1, but must be a whole number of at least 0"),
    (["loader.workers=100000"], "loader.workers is 100000, but this machine has "),
    (["tasks.segmentation.loss.alpha=1"], "tasks.segmentation.loss.alpha = 1 would give every negative the weight 0; "),
    (["tasks.segmentation.loss.alpha=1.5"], "tasks.segmentation.loss.alpha = 1.5 is outside [0, 1]; use null for no "),
    (KIND, "tasks.segmentation: the loss CrossEntropy is a multiclass loss, but this task needs a binary one; choose "),
    (["tasks.segmentation=3"], "tasks.segmentation has no _target_"),
    (["~trainer"], "trainer has no _target_"),
    (["+tasks.segmentation.loss.gama=3"], "unknown key 'tasks.segmentation.loss.gama': did you mean 'gamma'? "),
    (["+tasks.segmentation.name=mine"], "tasks.segmentation.name cannot be set, because tandem sets it; remove it"),
    (["network.backbone=resnet188"], "network: timm has no backbone 'resnet188': did you mean 'resnet18'? "),
    (["network.backbone=resnet18", "network.pretrained=true"], "network: the weights of 'resnet18' are not in the "),
    (["network.weights=nothing.pth"], "network.weights: no file 'nothing.pth'"),
    (["optimizer.lr=-1"], "optimizer.lr is -1, but must be a number of at least 0"),
    (["optimizer.lr=fast"], "optimizer.lr is 'fast', but must be a number"),
    (["optimizer._target_=os.system"], "optimizer: _target_ 'os.system' is not allowed; expected: an optimis"),
    (
        ["+optimizer.betas=[{_target_:tandem.jobs.process.Child}]"],
        "optimizer.betas[0]: _target_ 'tandem.jobs.process.Ch",
    ),
    (
        ["callbacks.metrics_csv.path=/tmp/x.csv"],
        "callbacks.metrics_csv.path is '/tmp/x.csv', which lies outside the ru",
    ),
    (["scheduler=plateau", "scheduler.factor=2"], "scheduler (ReduceLROnPlateau): Factor should be < 1.0"),
    (["trainer.max_epochs=-5"], "trainer.max_epochs is -5, but must be a whole number of at least 1, or -1 with"),
    (["trainer.max_epochs=many"], "trainer.max_epochs is 'many', but must be a whole number"),
    (["augment=light", "augment.rotate=200"], "augment.rotate is 200, but must lie in [0, 180]"),
    (["data.size=8"], "data.size is 8, but must be a whole number >= 32 and <= 1024"),
    (
        ["data.class_probabilities=[1,0,0]"],
        "data 'phantom': class 'benign' is missing from split 'train' (12 images)",
    ),
    (["balance.weights.segmentation=-1"], "balance.weights.segmentation is -1"),
]


@pytest.mark.parametrize(("arguments", "line"), IN_A_JOB, ids=[" ".join(typed) for typed, _ in IN_A_JOB])
def test_a_setting_that_cannot_work_is_refused_in_one_line_and_leaves_no_folder(
    tandem_train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.delenv("TANDEM_SWEEP", raising=False)  # an earlier sweep in this process sets it
    done = tandem_train(*SMALL, *arguments)
    assert done.code == 1
    assert done.error.startswith(line)
    assert not (tmp_path / "runs").exists()


def test_a_monitor_that_nobody_logs_is_named(tandem_train: Command, tmp_path: Path) -> None:
    done = tandem_train(*SMALL, "monitor=val/segmentation/dicee", "mode=max")
    assert done.code == 1
    assert "val/segmentation/dicee" in done.error
    assert not list(tmp_path.rglob("results.json"))


BUSI = ["experiment=busi", "data.size=16", "data.groups=none", "logger=none"]


def test_a_missing_data_root_is_asked_for(tandem_train: Command) -> None:
    assert tandem_train("experiment=busi").error == "data.root has no value; give it, for instance data.root=VALUE"


def test_a_wrong_data_root_is_named(tandem_train: Command, tmp_path: Path) -> None:
    root = tmp_path / "not here"
    line = f"data.root='{root}' is not a folder: set data.root=... to the folder Dataset_BUSI_with_GT"
    assert tandem_train(*BUSI, f"data.root='{root}'").error.startswith(line)


def test_a_folder_with_blanks_in_its_name_is_read(tandem_train: Command, busi_tree: Callable[[int], Path]) -> None:
    root = busi_tree(1)
    spaced = root.rename(root.with_name("my data (2024)"))
    done = tandem_train(*BUSI, f"data.root='{spaced}'")
    assert done.error.startswith("class 'normal' is missing from split")


FAULTS = {
    "truncated": "is truncated or damaged",
    "no image": "is not an image",
    "mask of another size": "is 5x7, but its image",
    "mask out of range": "may have only 0 and either 1, 255 or 65535",
}


def spoil(root: Path, fault: str) -> Path:
    """Spoils one file of a BUSI tree in one way."""
    picture = root / "benign" / "benign (3).png"
    mask = picture.with_name("benign (3)_mask.png")
    with Image.open(picture) as image:
        size = image.size
    if fault == "truncated":
        picture.write_bytes(picture.read_bytes()[:-40])
    elif fault == "no image":
        picture.write_text("a note")
    elif fault == "mask of another size":
        Image.new("1", (5, 7)).save(mask)
    else:
        Image.new("L", size, 7).save(mask)
    return mask if "mask" in fault else picture


@pytest.mark.parametrize(("fault", "words"), FAULTS.items())
def test_a_file_that_cannot_be_used_is_named(
    tandem_train: Command, tmp_path: Path, busi_tree: Callable[[int], Path], fault: str, words: str
) -> None:
    root = busi_tree(4)
    wrong = spoil(root, fault)
    done = tandem_train(*BUSI, f"data.root={root}")
    assert done.code == 1
    assert words in done.error
    assert f"'{wrong}'" in done.error
    assert not list(tmp_path.rglob("results.json"))


def test_several_bad_files_are_one_line_too(tandem_train: Command, busi_tree: Callable[[int], Path]) -> None:
    root = busi_tree(4)
    for number in (1, 2, 3):
        (root / "normal" / f"normal ({number}).png").write_text("a note")
    assert tandem_train(*BUSI, f"data.root={root}").error.startswith("3 of 12 images cannot be used; the first: ")


# ---------------------------------------------------------------------------------------------------- unexpected errors


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes training fail with an error that is no user's fault."""

    def fail(*_: Any) -> None:
        raise RuntimeError("the\n  roof fell in")

    monkeypatch.setattr("tandem.train.run.train", fail)


@pytest.mark.usefixtures("broken")
def test_an_unforeseen_error_is_one_line_that_points_at_its_traceback(tandem_train: Command, tmp_path: Path) -> None:
    done = tandem_train(*SMALL)
    assert done.code == 1
    (traceback,) = tmp_path.rglob("error.txt")
    assert done.error == f"RuntimeError: the roof fell in (traceback: {traceback})"
    assert "RuntimeError: the\n" in traceback.read_text()


@pytest.mark.usefixtures("broken")
def test_who_asks_for_tracebacks_gets_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tandem.train.run import main

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tandem-train", *SMALL, "hydra/job_logging=none"])
    with pytest.raises(SystemExit):
        main()
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["tandem-train", "sed=3"])
    GlobalHydra.instance().clear()
    with pytest.raises(Exception, match="Could not override 'sed'"):
        main()
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted; rerun the same command to resume"),
        (ConfigError("lr is wrong"), 1, "lr is wrong"),
    ],
)
def test_what_a_job_raises_decides_the_exit_code(
    tandem_train: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("tandem.train.run.train", fail)
    done = tandem_train(*SMALL)
    assert (done.code, done.error) == (code, line)


def test_an_interrupted_sweep_stops(tandem_train: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tandem.train.run.train", fail)
    done = tandem_train("-m", *SMALL, "seed=1,2")
    assert done.code == 130
    assert len(list(tmp_path.rglob("status.json"))) == 1


def test_the_log_file_holds_an_error_where_the_console_does_not(tmp_path: Path) -> None:
    root = logging.getLogger()
    handler = logging.FileHandler(tmp_path / "log")
    root.addHandler(handler)
    try:
        cli._report(ConfigError("wrong 100%"), tmp_path, verbose=False)
    finally:
        root.removeHandler(handler)
        handler.close()
    assert (tmp_path / "log").read_text() == "error: wrong 100%\n"


# --------------------------------------------------------------------------------------------------- in its own process


def test_exit_code_and_line_of_the_process(command: Command, tmp_path: Path) -> None:
    done = command("experiment=tiny", "sed=3")
    assert done.code == 1
    assert done.error.startswith("unknown key 'sed': did you mean 'seed'?")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(["--help"], "loss/binary@"), (["--cfg", "job"], "\nseed: 0\n")],
    ids=["--help", "--cfg job"],
)
def test_help_and_configuration_are_shown_at_once(command: Command, arguments: list[str], shown: str) -> None:
    """The limit is 1.5 s on an idle machine; here, others may be at work too."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = command(*arguments)
        seconds.append(time.perf_counter() - started)
        assert done.code == 0
        assert done.err == ""
        assert shown in done.out
    assert statistics.median(seconds) < 2 * 1.5, seconds


def test_nothing_heavy_is_imported_before_a_job_begins(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    for arguments in (["--help"], ["--cfg", "job"], ["sed=3"]):
        imported = {line.rsplit("|", 1)[-1].strip() for line in command(*arguments).err.splitlines()}
        assert "omegaconf" in imported
        assert not imported & {
            "torch",
            "numpy.linalg",
            "pytorch_lightning",
            "timm",
            "torchmetrics",
            "matplotlib",
            "PIL",
        }


def test_a_job_that_has_become_another_one_since_its_sweep_began_is_refused(
    tandem_train: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_FOLDER", str(tmp_path / "runs" / "tiny" / "0123456789ab"))
    done = tandem_train("experiment=tiny")
    assert done.code == 1
    assert done.error.startswith("the configuration has changed since the sweep began: the job's folder would now be ")
    assert not list(tmp_path.rglob("status.json"))


@pytest.mark.parametrize("flags", [["--cfg", "job"], ["-c", "job"], ["--cfg=job"]])
def test_flags_may_stand_between_overrides(tandem_train: Command, flags: list[str]) -> None:
    done = tandem_train("seed=11", *flags, "optimizer.lr=0.125")
    assert done.code == 0
    assert "seed: 11\n" in done.out
    assert "lr: 0.125\n" in done.out


def test_settings_of_the_environment_reach_the_process(command: Command) -> None:
    assert os.environ.get("TANDEM_ALLOW") is None
    done = command("experiment=tiny", "optimizer._target_=nowhere.Optimizer", "--cfg", "job")
    assert done.code == 0  # what is shown is not made
    assert "_target_: nowhere.Optimizer" in done.out
