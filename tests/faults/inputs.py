"""Bad inputs of every command: each is refused at once, in one line that names the key and the fix, and leaves nothing.

The inputs are those that were once accepted, and generated ones: each option of a command gets values of another kind.
"""

import importlib
import io
import logging
import os
import re
import signal
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from PIL import Image

from tandem.config.resolve import register
from tandem.config.shipped import config_folder

KEPT = Path(__file__).parents[1] / "golden" / "run_0.1.0"
"""A finished run."""

PLACES = ("FILE", "EMPTY", "IMAGES", "RUN")
"""What the words name: a file, an empty folder, a folder with an image, and a finished run."""

LIMIT = 15.0
"""Seconds within which an input is refused."""

SMALL = ("data.train=24", "data.val=12", "data.test=12", "data.seed=3")
TINY = ("experiment=tiny", *SMALL, "logger=none", "callbacks.panels=null")

COMMANDS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "train": ("train", "train", TINY),
    "evaluate": ("evaluate", "evaluate", ("run=RUN", "page=false", "samples=10", "masks=false")),
    "predict": ("predict", "predict", ("run=RUN", "images=IMAGES", "out=out")),
    "export": ("export", "export", ("run=RUN", "out=model.pt2", "format=torch")),
    "search": ("search", "search", (*TINY, "search=focal")),
    "reproduce": ("paper", "reproduce", ("paper=quick",)),
    "audit_data": ("audit", "audit_data", (*SMALL, "out=audit")),
    "show_data": ("show_data", "show_data", (*SMALL, "out=figure.png")),
    "write_shards": ("write_shards", "write_shards", (*SMALL, "out=shards")),
    "explain_loss": ("explain_loss", "explain_loss", (*SMALL, "loss/binary=bce", "out=page")),
    "find_lr": ("find_lr", "find_lr", TINY),
    "doctor": ("doctor", "doctor", ("self_test=false",)),
    "plan": ("plan", "plan", (*SMALL, "calibrate=false")),
    "list_runs": ("list_runs", "list_runs", ()),
    "study": ("study", "", ()),
}
"""Package, configuration and the words of an input that is right, by command."""

STATED: Mapping[str, tuple[str, ...]] = {
    "train": (
        *("trainer.max_epochs=0", "trainer.max_epochs=1.5", "trainer.max_epochs=-1", "trainer.max_epochs=null"),
        *("trainer.accumulate_grad_batches=0", "trainer.gradient_clip_val=nan", "trainer.gradient_clip_val=-1"),
        *("callbacks=early_stopping callbacks.early_stopping.patience=-1", "trainer.num_sanity_val_steps=-3"),
        *("trainer.log_every_n_steps=0", "optimizer.lr=-1", "optimizer.lr=nan", "optimizer.lr=inf"),
        *("optimizer.weight_decay=-1", "balance.weights.segmentation=abc", "balance.weights.segmentation=-1"),
        *("task=[]", "task=nothing", "data.classes=[benign]", "trainer.accelerator=gpu", "trainer.accelerator=moon"),
        *("runs=FILE", "runs=", "callbacks.best.monitor=val/classification/loss", "callbacks.best.mode=min"),
        "callbacks=early_stopping callbacks.early_stopping.monitor=test/segmentation/dice",
        *(
            "+optimizer._args_=abc",
            "trainer.limit_val_batches=0",
            "trainer.limit_test_batches=0",
            "data.without_mask=1",
        ),
        *("data.without_mask=2", "data.without_label=-1", "loader.workers=100000", "loader.workers=-1"),
        *("loader.batch_size=0", "loader.batch_size=-1", "loader.sampling=sometimes", "loader.sampling=[1,2]"),
        *("seed=-1", "seed=4294967296", "mode=up", "monitor=dice", "monitor=test/segmentation/dice"),
        *("monitor=val/segmentation/dcie mode=max", "monitor=val/elsewhere/dice mode=max", "monitor=val/loss mode=max"),
        *("on_changed_data=maybe", "resume_from=nowhere", "checkpoint.every_n_steps=0", "checkpoint.every_n_steps=-5"),
        *("trainer.devices=0", "trainer.devices=two", "trainer.precision=7", "trainer.precision=16-true"),
        *("+trainer.max_steps=0", "+trainer.max_steps=-2", "+trainer.max_time=soon", "+trainer.fast_dev_run=true"),
        *("+trainer.strategy=fsdp", "+trainer.num_nodes=2", "+trainer.val_check_interval=0.5", "+trainer.nothing=1"),
        *("callbacks.best=null", "callbacks.collapse.every=0", "callbacks.threshold_sweep.low=2"),
        *("callbacks.threshold_sweep.step=0", "callbacks.threshold_sweep.official=some", "callbacks.panels.every=0"),
        *("callbacks.non_finite.policy=hope", "callbacks=ema callbacks.average.decay=1", "callbacks.collapse.share=1"),
        *("data=nothing", "data.size=0", "data.size=7", "data.train=0", "data.val=0", "data.test=0", "data.noise=2"),
        *("data.contrast=-1", "data.lesion_area=[0.2,0.1]", "data.class_probabilities=[1,1,1]", "data.seed=-1"),
        *("data=folder data.root=nowhere", "data=busi data.root=nowhere", "data=medmnist data.root=nowhere"),
        *("data=folder data.root=", "data=folder data.root=FILE", "network=nothing", "network.backbone=resnet1"),
        *("network.freeze=half", "network.dropout=2", "network.weights=nowhere.ckpt", "tasks.segmentation.loss=null"),
        *("loss/binary@tasks.segmentation.loss=nothing", "tasks.segmentation.weight=1", "balance=nothing"),
        *("parameters.lr_factors={nothing: 2}", "parameters.lr_factors={network: -1}", "scheduler=nothing"),
        *("scheduler=cosine scheduler.warmup_epochs=-1", "scheduler=plateau scheduler.factor=2", "penalties.l3=1"),
        *("augment=nothing", "augment=light augment.flip=2", "logger=nothing", "name=", "name=..", "name=a/../../b"),
        *("callbacks.metrics_csv.path=/any/file", "callbacks.progress.refresh_rate=often", "learning_rate=1", "seed"),
        *("optimizer=nothing", "optimizer.betas=[1,2]", "optimizer._target_=os.system", "hydra/launcher=nothing"),
        *("--config-dir=nowhere", "--config-name=nothing", "seed=[", "experiment=nothing", "study=nothing", "=1"),
        *(
            "data.fit=stretch",
            "data.fit=null",
            "decide=hope",
            "decide=[]",
            "decide=[rankdice,rankdice]",
            "trainer.share=all",
        ),
        *("trainer.sync_batchnorm=maybe", "parameters.layer_decay=0", "parameters.layer_decay=2", "network=dpt"),
        *("network.decoder=nothing", "callbacks=deadline callbacks.deadline.seconds=-1"),
    ),
    "evaluate": (
        *("run=nowhere", "run=", "run=FILE", "run=IMAGES", "run=nowhere/*", "split=all", "threshold=2"),
        *("threshold=nan", "threshold=abc", "threshold=fit", "threshold={nothing: 0.5}", "batch_size=0", "device=moon"),
        *("device=cuda", "cases=-1", "samples=1", "seed=-1", "data.root=nowhere", "+data.size=7", "masks=maybe"),
        *("seed=nan", "-m seed=1,2", "nothing=1", "experiment=tiny", "decide=hope", "decide=[threshold,rankdice]"),
        *("threshold=sensitivity:2", "threshold=sensitivity:", "threshold=hope:0.9", "threshold=ppv:nan", "by=nothing"),
        *("native=maybe", "data=nothing", "data=busi data.root=nowhere", "data=folder data.root=EMPTY", "by=[]"),
    ),
    "predict": (
        *("threshold=2", "threshold=sensitivity:0.9 images=EMPTY", "threshold=abc", "decide=hope", "experiment=tiny"),
        *("run=nowhere", "run=[]", "run=", "images=nowhere", "images=", "out=FILE", "out=IMAGES", "out=", "out=/"),
        *("batch_size=0", "device=moon", "data.size=7", "data.size=5000", "data.grey_range=[5,1]", "flips=maybe"),
        *("data.grey_range=3", "data.background=plaid", "run=[RUN,nowhere]", "images=EMPTY", "-m batch_size=1,2"),
    ),
    "export": (
        *("run=nowhere", "run=", "format=pickle", "format=", "out=FILE", "out=EMPTY", "tolerance=0", "tolerance=-1"),
        *("tolerance=nan", "tolerance=abc", "out=a/\0/b", "overwrite=maybe", "nothing=1"),
    ),
    "search": (
        *("search=nothing", "search.n_trials=0", "search.n_trials=-1", "search.n_jobs=0", "search.startup=-1"),
        *("search.seed=-1", "search.space=null", "search.space={optimizer: {lr: 3}}"),
        *("search.space={optimizer: {lr: {low: 2, high: 1}}}", "search.space={optimizer: {lr: []}}"),
        *("search.space={nothing: [1,2]}", "search.objectives=[]", "search.objectives=[val/nothing/at_all]"),
        *("search.objectives=[test/segmentation/dice]", "search/pruner=nothing", "name=", "-m seed=1,2"),
        *("search.space={optimizer: {lr: {low: 0, high: 1, log: true}}}", "search.space={seed: {low: 1.5}}"),
    ),
    "reproduce": (
        *("paper=nothing", "paper=null", "budget=nothing", "verify=-1", "verify=abc", "tolerance=-1", "tolerance=nan"),
        *(
            "archive=nowhere.zip",
            "archive=FILE",
            "archive=EMPTY",
            "against=nowhere",
            "out=FILE",
            "runs=FILE",
            "seed=-1",
        ),
        *("data.root=nowhere paper=curated_busi", "rerun=true", "launch=maybe", "nothing=1"),
    ),
    "audit_data": (
        *("data=nothing", "data=folder data.root=nowhere", "data=folder data.root=EMPTY", "distance=-1"),
        *("distance=300", "distance=abc", "correlation=2", "correlation=nan", "compare_up_to=-1", "images=-1"),
        *("images=2000", "out=FILE", "out=", "data.size=7", "data.train=0", "overwrite=maybe", "nothing=1"),
    ),
    "show_data": (
        *("data=nothing", "augment=nothing", "split=all", "images=0", "images=100", "versions=-1", "versions=99"),
        *("seed=-1", "out=FILE", "out=EMPTY", "out=", "data.size=7", "data=busi data.root=nowhere", "out=a.nothing"),
    ),
    "write_shards": (
        *(
            "data=nothing",
            "data=busi data.root=nowhere",
            "out=FILE",
            "out=",
            "shard_mb=0",
            "shard_mb=-1",
            "shard_mb=nan",
        ),
        *("shard_mb=5000", "shard_mb=abc", "data.size=7", "data=streamed data.root=EMPTY", "nothing=1"),
    ),
    "explain_loss": (
        *("loss/binary=nothing", "loss=null", "split=all", "masks=0", "batch_size=0", "out=FILE", "data.size=7"),
        *("half_trained.blur=-1", "half_trained.noise=-1", "half_trained.seed=-1", "half_trained.signal=nan"),
        *("data=busi data.root=nowhere", "loss.gamma=1", "nothing=1"),
    ),
    "find_lr": (
        *("find_lr.low=0", "find_lr.low=-1", "find_lr.low=2", "find_lr.high=nan", "find_lr.steps=0", "find_lr.steps=3"),
        *("find_lr.steps=abc", "optimizer=nothing", "data=busi data.root=nowhere", "trainer.precision=7"),
    ),
    "doctor": ("runs=FILE", "runs=", "out=EMPTY", "out=FILE", "data=nothing", "self_test=maybe", "nothing=1"),
    "plan": (
        *("budget=soon", "budget=1s", "budget=-5m", "budget=", "data=folder data.root=nowhere", "data=nothing"),
        *(
            "data=folder data.root=EMPTY",
            "data=folder data.root=IMAGES",
            "out=FILE",
            "name=..",
            "name=a/b",
            "runs=FILE run=true",
        ),
        *("calibrate=maybe", "run=maybe", "experiment=tiny", "nothing=1", "-m budget=1h,2h"),
    ),
    "list_runs": ("runs=nowhere", "runs=FILE", "runs=", "state=nothing", "compare=[a]", "nothing.at.all=1"),
    "study": (
        *(
            "",
            "nowhere",
            "FILE",
            "EMPTY",
            "RUN --baseline nothing",
            "RUN --baseline nothing=1",
            "RUN --watch --every 0",
        ),
        *("RUN --metrics nothing", "RUN --nothing", "RUN --every abc", "RUN nowhere"),
    ),
}
"""Words that are wrong, by command; FILE is a file, EMPTY a folder, RUN a finished run, IMAGES a folder of images."""

WRONG: Mapping[type, tuple[str, ...]] = {
    bool: ("maybe", "3.5", "[true]", "{a: 1}"),
    int: ("many", "1.5", "nan", "[1,2]", "{a: 1}", "''"),
    float: ("much", "nan", "[1,2]", "{a: 1}", "''"),
    str: ("[1,2]", "{a: 1}", "3.5"),
    list: ("text", "3", "nan", "{a: 1}"),
    dict: ("text", "3", "[1,2]"),
}
"""Values that an option cannot have, by the type of its present value."""

SKIPPED = re.compile(
    r"_target_|_partial_|(^|\.)(name|runs|run|images|out|budget|threshold|against|archive|label|tasks\.\w+\.name)$"
    r"|^hydra|^paper|^monitors|quantities|^search\.space|\.show$|backbone_options|decoder_options|^data\.\w*(root|file)"
)
"""Options whose values are free text, or that are checked by `STATED`."""


@dataclass(frozen=True)
class Case:
    """A command with wrong words.

    Attributes:
        command: of `COMMANDS`.
        words: that are added to those of an input that is right.
        generated: whether it comes from `WRONG`.
    """

    command: str
    words: tuple[str, ...]
    generated: bool = False

    def __str__(self) -> str:
        """The command as it is typed, without the words that are right."""
        return " ".join((self.command, *self.words))


def stated() -> list[Case]:
    """The cases of `STATED`."""
    return [Case(command, _split(text)) for command, texts in STATED.items() for text in texts]


def generated(per_option: int = 1) -> list[Case]:
    """For each option of each command some values of another kind, the same in each call."""
    cases = []
    for command, (_, config, words) in COMMANDS.items():
        if not config:
            continue
        for key, value in options(config, words):
            wrong = WRONG.get(type(value), ())
            first = zlib.crc32(f"{command} {key}".encode()) % max(1, len(wrong))
            chosen = [*wrong[first:], *wrong[:first]][:per_option]
            cases += [Case(command, (f"{key}={each}",), generated=True) for each in chosen]
    return cases


def options(config: str, words: Sequence[str]) -> list[tuple[str, Any]]:
    """Dotted keys of a command's own options with their values; those of training belong to `train`."""
    register(config)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        composed = compose(config, [word.replace("loss/binary=", "loss/binary@loss=") for word in words])
    plain = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(plain, dict)
    shared = {} if config == "train" else dict(options("train", TINY))
    found = [(key, value) for key, value in _leaves(plain, "") if not SKIPPED.search(key)]
    return [(key, value) for key, value in found if config in ("evaluate", "predict") or key not in shared]


def _leaves(node: Mapping[Any, Any], where: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        place = f"{where}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            if where:
                yield place, dict(value)
            yield from _leaves(value, place)
        elif not (isinstance(value, str) and ("${" in value or value == "???")):
            yield place, value


def _split(text: str) -> tuple[str, ...]:
    """Words of a line; spaces inside of brackets separate nothing."""
    return tuple(re.findall(r"(?:\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}|[^\s{])+", text))


class Accepted(BaseException):
    """Raised where training, or other work, would begin."""


def _begin(*_: object, **__: object) -> None:
    raise Accepted


@contextmanager
def place_for(root: Path) -> Iterator[Path]:
    """A fresh working directory with what the words name."""
    root.mkdir()
    (root / "FILE").write_text("mine")
    (root / "EMPTY").mkdir()
    (root / "IMAGES").mkdir()
    Image.new("L", (64, 64), 90).save(root / "IMAGES" / "a.png")
    (root / "RUN").symlink_to(KEPT)
    with chdir(root):
        yield root


def refused(case: Case, root: Path) -> str:
    """Types a case in this process, in a fresh folder; returns what is wrong with how it was refused, or nothing.

    Args:
        case: the command and its words.
        root: the folder, which must not exist.
    """
    package, _, right = COMMANDS[case.command]
    main = importlib.import_module(f"tandem.{package}").main
    typed = [f"tandem-{case.command}", *right, *case.words]
    with place_for(root) as place:
        before = _listing(place)
        began = time.monotonic()
        code, out, err = _typed(main, typed, place)
        seconds = time.monotonic() - began
        left = sorted(_listing(place) - before)
    lines = err.splitlines()
    if code == "accepted":
        return "accepted"
    if code == "slow" or seconds > LIMIT:
        return f"not refused within {LIMIT:g} s"
    if code == 0:
        return f"accepted: {' '.join(out.split())[-80:]}"
    if "Traceback" in out + err or len(lines) != 1 or not lines[0].startswith("error: "):
        return f"not one line: {' '.join(err.split())[:200]}"
    if left:
        return f"left {', '.join(left[:4])}"
    return _named(case, lines[0])


FIX = re.compile(
    r"\b(must|should|set|give|fix|start|choose|name a|begin it|did you mean|there (are|is)|add|omit|remove|install|"
    r"lower|raise|leave|use|needs?|expects?|only|allowed|see|copy|rerun|type|spread|cannot|is not|no such|not found|"
    r"write|unknown|available)\b",
    re.IGNORECASE,
)
"""Words with which a line says what to do, or what is allowed."""


def _named(case: Case, line: str) -> str:
    names = [name for word in case.words for name in _names(word)]
    if names and not any(name in line for name in names) and not re.search(r"\b[a-z_.]+=", line):
        return f"names no key: {line}"
    return "" if FIX.search(line.removeprefix("error: ")) else f"names no fix: {line}"


def _names(word: str) -> list[str]:
    """What a line about a word can name: the last or the first part of its key, or the value where that is a path."""
    key, _, value = word.lstrip("+~-").partition("=")
    parts = [part for part in re.split(r"[./@]", key) if part]
    return [*parts[-1:], *parts[:1], *([value] if value in (*PLACES, "nothing", "nowhere") else [])]


def _listing(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")} | {str(path) for path in KEPT.rglob("*")}


def _typed(main: Any, typed: Sequence[str], place: Path) -> tuple[int | str, str, str]:
    """Exit code, stdout and stderr of a command in this process."""
    root = logging.getLogger()
    handlers, level, disabled = root.handlers[:], root.level, root.manager.disable
    out, err = io.StringIO(), io.StringIO()
    code: int | str = 0
    GlobalHydra.instance().clear()
    before = signal.signal(signal.SIGALRM, _slow)
    signal.setitimer(signal.ITIMER_REAL, LIMIT + 5)
    try:
        with (
            patch.object(sys, "argv", list(typed)),
            patch.dict(os.environ, {"HYDRA_FULL_ERROR": "0", "TANDEM_CACHE": str(place.parent / "cache")}),
            patch("pytorch_lightning.Trainer.fit", _begin),
            patch("tandem.jobs.process.start_process", _begin),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            os.environ.pop("TANDEM_SWEEP", None)
            logging.disable(logging.NOTSET)
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except Accepted:
        code = "accepted"
    except _Slow:
        code = "slow"
    except BaseException as error:  # what a person would see as a traceback
        code, err = 1, io.StringIO(f"Traceback {type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        for handler in root.handlers:
            if handler not in handlers:
                handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
    return code, out.getvalue(), err.getvalue()


class _Slow(BaseException):
    """A command took longer than it may."""


def _slow(*_: object) -> None:
    raise _Slow
