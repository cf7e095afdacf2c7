"""What a configuration may build, what it may not, and the error messages."""

import copy
import functools
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from tandem.config.instantiate import build, build_each, resolve_target
from tandem.config.resolve import resolve
from tandem.config.slots import SLOTS, own_modules_remembered, slot_at
from tandem.data.augment import Augment
from tandem.data.phantom import Phantom
from tandem.errors import ConfigError, DataError
from tandem.losses import Composite
from tandem.losses.binary import BCE, Focal

FOCAL = "tandem.losses.binary.Focal"
COMPOSITE = "tandem.losses.Composite"

# --------------------------------------------------------------------------------------------------- what is built, how


def test_an_object_with_its_arguments() -> None:
    made = build({"_target_": FOCAL, "gamma": 1.0, "alpha": 0.25}, "loss")
    assert isinstance(made, Focal)
    assert (made.gamma, made.alpha) == (1.0, 0.25)


def test_arguments_from_the_caller_are_passed_as_they_are() -> None:
    weights = {"a": 2.0}
    made = build({"_target_": "tandem.balance.FixedWeights", "weights": weights}, "balance", tasks=("a",))
    assert made.tasks == ("a",)


def test_nested_targets_in_dicts_and_lists_are_made_first() -> None:
    node = {
        "_target_": COMPOSITE,
        "terms": {"a": {"_target_": FOCAL, "gamma": 1.0}, "b": {"_target_": "tandem.losses.binary.BCE"}},
        "weights": {"a": 1.0, "b": 2.0},
    }
    made = build(node, "loss")
    assert isinstance(made, Composite)
    assert made.weights == {"a": 1.0, "b": 2.0}
    positional = {"_target_": COMPOSITE, "_args_": [{"a": {"_target_": FOCAL}}, {"a": 3.0}]}
    assert build(positional, "loss").weights == {"a": 3.0}


def test_a_partial_waits_for_its_last_arguments() -> None:
    maker = build({"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.5}, "optimizer")
    optimizer = maker([nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["lr"] == 0.5


def test_partials_within_partials() -> None:
    inner = {"_target_": FOCAL, "_partial_": True, "gamma": 5.0}
    outer = {"_target_": COMPOSITE, "_partial_": True, "terms": {"a": {"_target_": FOCAL}}}
    assert build(outer, "loss")(weights={"a": 1.0}).weights == {"a": 1.0}
    first, second = build(inner, "loss"), build(inner, "loss")
    assert [maker(alpha=0.25).gamma for maker in (first, second)] == [5.0, 5.0]
    assert first() is not first()


def test_lists_and_dicts_arrive_plain() -> None:
    made = build({"_target_": "tandem.data.augment.Augment", "scale": [0.5, 2]}, "augment")
    assert isinstance(made, Augment)
    assert made.scale == (0.5, 2.0)


def test_build_each_skips_entries_that_are_switched_off() -> None:
    nodes = {"a": None, "b": {}, "c": {"_target_": "tandem.callbacks.Confusion"}}
    assert list(build_each(nodes, "callbacks")) == ["c"]
    assert build_each(None, "callbacks") == {}
    assert build_each({}, "callbacks") == {}


def test_the_configuration_is_left_as_it_is() -> None:
    node: dict[str, Any] = {"_target_": COMPOSITE, "terms": {"a": {"_target_": FOCAL}}, "weights": {"a": 1.0}}
    before = copy.deepcopy(node)
    build(node, "loss")
    assert node == before


def test_recursion_can_be_switched_off_but_not_the_check() -> None:
    node = {"_target_": COMPOSITE, "_recursive_": False, "terms": {"a": {"_target_": FOCAL}}, "weights": {"a": 1.0}}
    with pytest.raises(ConfigError, match="'a' of a composite loss is a dict"):
        build(node, "loss")
    with pytest.raises(ConfigError, match=r"loss\.terms\.a: _target_ 'os.system' is not allowed"):
        build({**node, "terms": {"a": {"_target_": "os.system"}}}, "loss")


# ------------------------------------------------------------------------------------------------------- the allow-list

FOREIGN = [
    "os.system",
    "posix.system",
    "subprocess.run",
    "builtins.eval",
    "builtins.exec",
    "builtins.__import__",
    "functools.partial",
    "importlib.import_module",
    "pathlib.Path",
    "pickle.loads",
    "torch.load",
    "torch.hub.load",
    "torch.jit.load",
    "torch.serialization.load",
    "torch.utils.data.DataLoader",
    "torchvision.io.read_image",
    "hydra.utils.instantiate",
    "hydra.utils.call",
    "hydra.utils.get_method",
    "hydra.utils.get_class",
    "hydra._internal.utils._locate",
    "omegaconf.OmegaConf.load",
    "pytorch_lightning.LightningModule.load_from_checkpoint",
    "pytorch_lightning.cli.LightningCLI",
    "pytorch_lightning.utilities.seed.seed_everything",
    "lightning_fabric.utilities.cloud_io._load",
    # names that only begin alike
    "torch.nnx.Linear",
    "torchmetrics_evil.Metric",
    "tandem_evil.Loss",
    "torch.optimizer.SGD",
]

THROUGH_A_MODULE = [
    "torch.nn.modules.module.functools.partial",
    "torch.nn.modules.module.torch.load",
    "torch.optim.optimizer.os.system",
    "torch.optim.lr_scheduler.warnings.warn",
    "torchmetrics.metric.functools.partial",
    "tandem.losses.binary.torch.load",
    "tandem.callbacks.metrics_csv.write_text",
    "tandem.callbacks.metrics_csv.Path",
    "tandem.callbacks.panels.Path",
    "tandem.data.busi.cache_folder",
    "tandem.data.busi.fetch",
    "tandem.network.make.inspect.getsource",
    "tandem.network.weights.Path",
    "torch.nn.Module.load_state_dict",
    "torch.nn.Linear.from_pretrained",
    "pytorch_lightning.Trainer.fit",
    "pytorch_lightning.trainer.trainer.import_module",
    "tandem.config.instantiate.importlib.import_module",
    "tandem.utils.files.os.remove",
    "tandem.utils.files.Path",
    "tandem.runs.provenance.subprocess.run",
    "tandem.jobs.Callback",
    "tandem.config.resolve.DictConfig",
    # this package's own machinery runs programs, writes files and makes objects
    "tandem.config.instantiate.build",
    "tandem.config.instantiate.resolve_target",
    "tandem.cli.run",
    "tandem.jobs.run_job",
    "tandem.train.run.train",
    "tandem.utils.files.write_text",
    "tandem.utils.files.write_whole",
    "tandem.runs.provenance.git_state",
    "tandem.data.files.cache.fetch",
    "tandem.data.files.cache.cache_folder",
    "tandem.data.splitting.splits.write_splits",
    "tandem.factory.make_trainer",
    "tandem.utils.optional.load",
    # functions of libraries
    "torch.nn.functional.relu",
    "torch.nn.utils.parametrize.register_parametrization",
    "torch.nn.modules.module.register_module_forward_hook",
    "torchmetrics.functional.dice",
    "torch.nn.init",
]

MALFORMED = [
    "",
    ".",
    "torch",
    "torchmetrics",
    "torch.nn.",
    ".torch.nn.Linear",
    "torch..nn.Linear",
    "torch.nn..Linear",
    "torch.nn.Linear ",
    " torch.nn.Linear",
    "torch.nn.Linear\n",
    "torch.nn/../../evil.Thing",
    "torch.nn./tmp/evil.Thing",
    "torch.nn.${oc.env:HOME}",
    "torch.nn.Linear()",
    None,
    3,
    ["torch.nn.Linear"],
    {"_target_": "torch.nn.Linear"},
    print,
    nn.Linear,
]

PRIVATE = [
    "torch.nn.attention._fa3._fa3_import_module",
    "torch.nn.__builtins__",
    "torch.nn.__loader__",
    "torch.nn.modules.__dict__",
    "torch.nn.Linear.__init__",
    "torch.nn.Linear.__class__",
    "torchmetrics.__spec__.loader",
    "tandem.losses._secret",
    "pytorch_lightning.strategies.launchers.subprocess_script._SubprocessScriptLauncher",
]


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a package on the path whose import leaves a mark; the mark must not be there in the end."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def check(name: str) -> None:
        (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()")
        with pytest.raises(ConfigError, match=f"_target_ '{name}.Thing' is not allowed"):
            build({"_target_": f"{name}.Thing"}, "loss")
        assert not (tmp_path / f"{name}.ran").exists()
        assert name not in sys.modules

    return check


@pytest.mark.parametrize("name", ["evil", "torch_nn", "tandem_", "torchmetricsx"])
def test_a_refused_target_is_not_even_imported(canary: Callable[[str], None], name: str) -> None:
    canary(name)


@pytest.mark.parametrize("target", FOREIGN)
def test_foreign_code_is_refused_by_name(target: str) -> None:
    with pytest.raises(ConfigError, match=rf"^data: _target_ '{target}' is not allowed; .* set TANDEM_ALLOW="):
        build({"_target_": target}, "data")


@pytest.mark.parametrize("target", [*FOREIGN, *THROUGH_A_MODULE])
@pytest.mark.parametrize("slot", SLOTS)
def test_no_slot_admits_it(target: str, slot: str) -> None:
    with pytest.raises(ConfigError, match=r"is not allowed|of the wrong kind|cannot import|has no '"):
        resolve_target(target, "x", SLOTS[slot])


@pytest.mark.parametrize("target", MALFORMED, ids=repr)
def test_anything_but_a_dotted_name_is_refused(target: Any) -> None:
    with pytest.raises(ConfigError, match=r"^data: _target_ .* is not the dotted name of a class"):
        build({"_target_": target}, "data")


@pytest.mark.parametrize("target", PRIVATE)
def test_private_things_are_refused(target: str) -> None:
    for slot in SLOTS.values():
        with pytest.raises(ConfigError, match=r"is private; name a public class|is not allowed"):
            resolve_target(target, "x", slot)


def test_a_private_thing_of_a_module_that_is_allowed() -> None:
    with pytest.raises(ConfigError, match="is private; name a public class"):
        build({"_target_": "tandem.losses._secret"}, "loss")


EVIL = {"_target_": "os.system", "command": "true"}
HIDDEN = {
    "as an argument": {"_target_": FOCAL, "gamma": EVIL},
    "in a list": {"_target_": FOCAL, "gamma": [1, EVIL]},
    "in a list of lists": {"_target_": FOCAL, "gamma": [[EVIL]]},
    "in a dict": {"_target_": FOCAL, "gamma": {"a": {"b": EVIL}}},
    "in a dict in a list": {"_target_": FOCAL, "gamma": [{"a": EVIL}]},
    "among the positional ones": {"_target_": FOCAL, "_args_": [1.0, EVIL]},
    "in a partial": {"_target_": FOCAL, "_partial_": True, "gamma": EVIL},
    "as a partial": {"_target_": FOCAL, "gamma": {**EVIL, "_partial_": True}},
    "under a key of Hydra": {"_target_": FOCAL, "_convert_": EVIL},
    "beside a target that does not exist": {"_target_": "tandem.losses.Nothing", "a": EVIL},
    "beside an unknown key": {"_target_": FOCAL, "unknown": 1, "gamma": EVIL},
    "below a good one": {"_target_": COMPOSITE, "terms": {"a": {"_target_": FOCAL, "gamma": EVIL}}, "weights": {}},
}


@pytest.mark.parametrize("node", HIDDEN.values(), ids=HIDDEN.keys())
def test_nothing_is_created_if_one_target_is_refused(node: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(Focal, "__init__", lambda *_, **__: made.append("focal"))
    with pytest.raises(ConfigError, match=r"^loss\.\S+: _target_ 'os\.system' is not allowed"):
        build(node, "loss")
    assert made == []


@pytest.mark.parametrize("where", ["betas", "betas[0]", "lr", "_args_[0]", "foreach.a"])
def test_what_takes_plain_values_takes_no_object_at_any_depth(where: str) -> None:
    """An optimiser's arguments are no slots, so that not even another optimiser may be made there."""
    key, _, rest = where.partition(".")
    inner: Any = {"_target_": "torch.optim.SGD"}
    value = {rest: inner} if rest else [inner] if "[" in key else inner
    node = {"_target_": "torch.optim.AdamW", "_partial_": True, key.partition("[")[0]: value}
    with pytest.raises(ConfigError) as caught:
        build(node, "optimizer")
    assert str(caught.value) == (
        f"optimizer.{where}: _target_ 'torch.optim.SGD' is not allowed; an optimiser takes plain values only; give a "
        "plain value here"
    )


def test_an_escaped_reference_does_not_become_a_target_after_the_check(tmp_path: Path) -> None:
    """Hydra's own instantiate reads references a second time, and would build what this one makes."""
    late = r"\${oc.create:'{_target_: torch.nn.ReLU}'}"
    config = OmegaConf.create({"node": {"_target_": "tandem.callbacks.Progress", "show": [late]}})
    node = resolve(config)["node"]
    assert node["show"] == ["${oc.create:'{_target_: torch.nn.ReLU}'}"]
    assert list(build(node, "callbacks.a").show) == node["show"]


def test_a_target_that_is_a_reference_is_refused() -> None:
    config = OmegaConf.create({"node": {"_target_": r"\${oc.decode:os.system}"}})
    with pytest.raises(ConfigError, match="is not the dotted name"):
        build(resolve(config)["node"], "data")


def test_no_function_of_this_package_can_be_named_but_the_listed_ones() -> None:
    """Some of them run programs, import, or overwrite files; a new function must not be allowed by default."""
    listed = {target for slot in SLOTS.values() for target in slot.functions}
    assert listed == {"tandem.network.make_network"}
    seen = 0
    for target, thing in members_of_the_package():
        if inspect.isroutine(thing) and target not in listed:
            seen += 1
            for slot in SLOTS.values():
                with pytest.raises(ConfigError):
                    resolve_target(target, "x", slot)
    assert seen > 100


ADMITTED = {
    "data": "BUSI Coco DermaMNIST Folder MedMNIST Mixed OxfordPet Phantom Source Streamed",
    "augment": "Augment",
    "network": "",
    "penalty": "L1 L2 Penalty",
    "adversary": "Adversary",
    "objective": "NonSaturating Objective Standard WassersteinGP",
    "discriminator": "Adversary PatchDiscriminator",
    "logger": "Files Logger MLflow TensorBoard TensorBoardLogger Tracker Trackio Wandb",
    "trainer": "",
    "profiler": "",
    "plugin": "",
    "strategy": "",
    "optimizer": "",
    "scheduler": "",
    "refine": "Consistency EmptyByProbability",
    "pruner": "Hyperband Median NoPruning",
}
"""Which of tandem's classes each slot admits; those with dozens are looked at by their base class."""


def test_each_slot_admits_its_own_kind_of_part_only() -> None:
    """Only looks at classes, and makes none of them: some would start a download."""
    from tandem.losses.contract import Loss

    admitted: dict[str, set[type]] = {name: set() for name in SLOTS}
    for target, thing in members_of_the_package():
        if inspect.isclass(thing) and not any(part.startswith("_") for part in target.split(".")):
            for name, slot in SLOTS.items():
                if slot.names(target) and slot.admits(thing, target):
                    admitted[name].add(thing)
    names = {name: {kind.__name__ for kind in kinds} for name, kinds in admitted.items()}
    assert {name: names[name] for name in ADMITTED} == {name: set(text.split()) for name, text in ADMITTED.items()}
    assert all(issubclass(kind, Loss) for kind in admitted["loss"])
    machinery = ("tandem.jobs", "tandem.utils", "tandem.config", "tandem.train", "tandem.paper", "tandem.runs")
    assert not [kind for kinds in admitted.values() for kind in kinds if kind.__module__.startswith(machinery)]


def members_of_the_package() -> Iterator[tuple[str, Any]]:
    """Everything in every module of the package, by dotted name."""
    import tandem

    for entry in pkgutil.walk_packages(tandem.__path__, "tandem."):
        if not entry.name.endswith("__main__"):
            for name, thing in vars(importlib.import_module(entry.name)).items():
                yield f"{entry.name}.{name}", thing


def test_every_key_of_a_configuration_has_its_slot() -> None:
    assert slot_at("tasks.segmentation") is SLOTS["task"]
    assert slot_at("tasks.a.loss") is SLOTS["loss"]
    assert slot_at("tasks.a.b") is SLOTS["task"]  # a name with a dot is refused by the task itself
    assert slot_at("paper.refine") is slot_at("paper.refinements.a") is SLOTS["refine"]
    for nowhere in ("x", "tasks", "loss.terms", "callbacks", "paper.other"):
        with pytest.raises(KeyError):
            slot_at(nowhere)


# ---------------------------------------------------------------------------------------------------- the user's module

MINE = """
import os
from functools import partial
from os import system
from torch import load, nn
from tandem.losses.binary import BCE

class Loss(nn.Module):
    kind = "binary"
    def __init__(self, power: float = 2.0) -> None:
        super().__init__()
        self.power = power

class Other:
    pass

def make(power=1):
    return Loss(power)

def wrong():
    return print

frozen = partial(Loss, 3)
number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's own, with a name of its own, on the path but not allowed."""
    name = f"mine_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("TANDEM_ALLOW", raising=False)
    return name


def test_the_users_module_is_refused_until_it_is_allowed(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=rf"_target_ '{mine}\.Loss' is not allowed; .* set TANDEM_ALLOW={mine} "):
        build({"_target_": f"{mine}.Loss"}, "loss")
    assert mine not in sys.modules
    monkeypatch.setenv("TANDEM_ALLOW", f"other, {mine} ,")
    assert build({"_target_": f"{mine}.Loss", "power": 3}, "loss").power == 3
    assert build({"_target_": f"{mine}.make"}, "loss").power == 1
    assert isinstance(build({"_target_": f"{mine}.BCE"}, "loss"), BCE)


def test_own_code_is_of_the_kind_that_the_slot_takes(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ALLOW", mine)
    with pytest.raises(
        ConfigError, match=rf"^loss: _target_ '{mine}\.Other' is of the wrong kind; expected: a loss \(a sub"
    ):
        build({"_target_": f"{mine}.Other"}, "loss")
    with pytest.raises(ConfigError, match=r"^loss: wrong returned a builtin_function_or_method; expected: a loss"):
        build({"_target_": f"{mine}.wrong"}, "loss")
    with pytest.raises(ConfigError, match="is of the wrong kind; expected: a balance"):
        build({"_target_": f"{mine}.Loss"}, "balance", tasks=("a",))


def test_a_configuration_cannot_open_the_list_while_a_command_runs(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_modules_remembered():
        monkeypatch.setenv("TANDEM_ALLOW", mine)  # as hydra.job.env_set does
        with pytest.raises(ConfigError, match="is not allowed"):
            build({"_target_": f"{mine}.Loss"}, "loss")
    assert build({"_target_": f"{mine}.Loss"}, "loss").power == 2


@pytest.mark.parametrize("name", ["system", "load", "os.system", "partial", "frozen", "number"])
def test_imports_of_the_users_module_stay_forbidden(mine: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TANDEM_ALLOW", mine)
    with pytest.raises(ConfigError, match=r"is of the wrong kind|cannot import"):
        build({"_target_": f"{mine}.{name}"}, "loss")


def test_allowing_one_module_opens_no_other(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ALLOW", mine[:-1])
    with pytest.raises(ConfigError, match="is not allowed"):
        build({"_target_": f"{mine}.Loss"}, "loss")
    for nothing in ("", ",", " , "):
        monkeypatch.setenv("TANDEM_ALLOW", nothing)
        with pytest.raises(ConfigError, match="is not allowed"):
            build({"_target_": "os.system"}, "loss")


def test_a_missing_module_is_reported_with_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ALLOW", "nowhere_at_all")
    with pytest.raises(ConfigError, match=r"^loss: cannot import 'nowhere_at_all\.Loss' \(No module .*PYTHONPATH"):
        build({"_target_": "nowhere_at_all.Loss"}, "loss")


# ------------------------------------------------------------------------------------------------------------- messages

FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("loss", {"lr": 1}, r"^loss has no _target_, so it describes no object"),
    (
        "loss",
        {"_target_": FOCAL, "gama": 3},
        r"^unknown key 'loss\.gama': did you mean 'gamma'\? \(there are: alpha, ga",
    ),
    (
        "optimizer",
        {"_target_": "torch.optim.AdamV"},
        r"^optimizer: 'torch\.optim' has no 'AdamV': did you mean 'Adam\w*'",
    ),
    ("loss", {"_target_": COMPOSITE, "terms": {}}, r"^loss lacks 'weights'; give loss\.weights$"),
    ("loss", {"_target_": FOCAL, "gamma": "3"}, r"^loss\.gamma is '3', but must be a number$"),
    ("augment", {"_target_": "tandem.data.augment.Augment", "scale": 3}, r"^augment\.scale is 3, but must be \["),
    ("loss", {"_target_": FOCAL, "alpha": 1.0}, r"^loss\.alpha = 1 would give every negative the weight 0"),
    ("loss", {"_target_": COMPOSITE, "terms": {}, "weights": {}}, r"^loss: a composite loss has no terms"),
    ("loss", {"_target_": FOCAL, "_args_": [1, 2, 3]}, r"^loss \(Focal\): Focal\.__init__\(\) takes"),
]


@pytest.mark.parametrize(("where", "node", "message"), FAULTS, ids=[message for *_, message in FAULTS])
def test_a_fault_is_one_line_that_begins_with_its_key(where: str, node: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(node, where)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not caught.value


@pytest.mark.parametrize("node", [None, 3, "dice", ["a"], {}], ids=repr)
def test_a_node_that_is_not_a_dict_with_a_target(node: Any) -> None:
    with pytest.raises(ConfigError, match=r"^loss has no _target_"):
        build(node, "loss")


def test_the_dotted_key_of_a_nested_fault_appears_once() -> None:
    term = {"_target_": FOCAL, "gamma": -1.0}
    node = {"_target_": "tandem.losses.Composite", "terms": {"focal": term}, "weights": {"focal": 1.0}}
    with pytest.raises(ConfigError, match=r"^tasks\.a\.loss\.terms\.focal\.gamma = -1\.0 is outside") as caught:
        build(node, "tasks.a.loss")
    assert str(caught.value).count("tasks.a.loss") == 1


def test_a_partial_that_fails_later_says_where_it_stood() -> None:
    maker = build({"_target_": "torch.optim.SGD", "_partial_": True, "lr": -1.0}, "optimizer")
    with pytest.raises(ConfigError, match=r"^optimizer \(SGD\): Invalid learning rate: -1\.0$"):
        maker([nn.Parameter(torch.zeros(1))])


def test_a_partial_that_fails_inside_another_object_keeps_its_own_key() -> None:
    """A task makes its metrics itself; the message must not carry the task's key in front of the metric's."""
    from tandem.data.datamodule import DataInfo

    metric = {"_target_": "torchmetrics.classification.MulticlassAccuracy", "_partial_": True, "top_k": 99}
    node = {
        "_target_": "tandem.tasks.ClassificationTask",
        "loss": {"_target_": "tandem.losses.multiclass.CrossEntropy"},
        "metrics": {"accuracy": metric},
    }
    info = DataInfo("tiny", ("a", "b"), 1)
    with pytest.raises(ConfigError, match=r"^tasks\.c\.metrics\.accuracy \(MulticlassAccuracy\): ") as caught:
        build(node, "tasks.c", name="c", data=info)
    assert str(caught.value).count("tasks.c") == 1


def test_what_the_program_fills_in_cannot_be_given() -> None:
    with pytest.raises(ConfigError, match=r"^trainer\.logger cannot be set, because tandem sets it; remove it$"):
        build({"_target_": "pytorch_lightning.Trainer", "logger": False}, "trainer", logger=True)


def test_a_key_that_is_close_to_a_filled_in_one_is_not_led_there() -> None:
    with pytest.raises(ConfigError) as caught:
        build({"_target_": "tandem.balance.FixedWeights", "task": 1, "weights": {}}, "balance", tasks=("a",))
    assert str(caught.value) == "unknown key 'balance.task': there are: weights"


@pytest.mark.parametrize("kind", [ConfigError, DataError])
def test_errors_for_users_keep_their_kind(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise kind("it rains")

    monkeypatch.setattr(Focal, "__init__", fail)
    with pytest.raises(kind, match=r"^loss: it rains$"):
        build({"_target_": FOCAL}, "loss")


def test_other_errors_are_named_by_their_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any) -> None:
        raise KeyError("rain")

    monkeypatch.setattr(Focal, "__init__", fail)
    with pytest.raises(ConfigError, match=r"^loss \(Focal\): KeyError: 'rain'$"):
        build({"_target_": FOCAL}, "loss")


def test_a_message_that_names_the_key_already_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("data.size is 3", "data is empty", "data (all of it) is empty"):

        def fail(self: Any, text: str = text) -> None:
            raise DataError(text)

        monkeypatch.setattr(Phantom, "__init__", fail)
        with pytest.raises(DataError) as caught:
            build({"_target_": "tandem.data.phantom.Phantom"}, "data")
        assert str(caught.value) == text


def test_optional_numbers_and_texts_are_not_confused() -> None:
    assert build({"_target_": FOCAL, "alpha": None}, "loss").alpha is None
    assert build({"_target_": "tandem.losses.binary.Dice", "per": "batch"}, "loss").per == "batch"
    checkpoint = "pytorch_lightning.callbacks.ModelCheckpoint"
    build({"_target_": checkpoint, "filename": "best", "save_last": "link"}, "callbacks.a")


@pytest.mark.parametrize(
    ("slot", "target"),
    [
        ("optimizer", "torch.optim.AdamW"),
        ("scheduler", "torch.optim.lr_scheduler.CosineAnnealingLR"),
        ("scheduler", "torch.optim.lr_scheduler.ReduceLROnPlateau"),
        ("metric", "torchmetrics.classification.MulticlassAccuracy"),
        ("metric", "torchmetrics.Accuracy"),
        ("trainer", "pytorch_lightning.Trainer"),
        ("callback", "pytorch_lightning.callbacks.EarlyStopping"),
        ("logger", "pytorch_lightning.loggers.TensorBoardLogger"),
        ("profiler", "pytorch_lightning.profilers.SimpleProfiler"),
        ("network", "tandem.network.make_network"),
        ("data", "tandem.data.phantom.Phantom"),
        ("data", "tandem.data.busi.BUSI"),
    ],
)
def test_what_a_configuration_needs_is_allowed(slot: str, target: str) -> None:
    module, _, name = target.rpartition(".")
    assert resolve_target(target, "x", SLOTS[slot]) is getattr(sys.modules[module], name)


def test_partials_can_be_pickled_for_worker_processes() -> None:
    import pickle

    maker = build({"_target_": FOCAL, "_partial_": True, "gamma": 1.0}, "loss")
    assert isinstance(maker, functools.partial)
    assert pickle.loads(pickle.dumps(maker))().gamma == 1.0  # noqa: S301 (made a line above)


UNPACKED: list[tuple[dict[str, Any], str]] = [
    ({"dropuot": 0.1}, r"^unknown key 'tasks\.x\.dropuot': did you mean 'dropout'"),
    ({"dropout": "0.1"}, r"^tasks\.x\.dropout is '0\.1', but must be a number$"),
    ({}, r"^tasks\.x lacks 'questions'; give tasks\.x\.questions$"),
]


@pytest.mark.parametrize(("changes", "message"), UNPACKED, ids=[message for _, message in UNPACKED])
def test_arguments_that_a_typed_dict_describes_are_checked_as_others_are(changes: dict[str, Any], message: str) -> None:
    node = {"_target_": "tandem.tasks.YesNoTask", "loss": {"_target_": FOCAL}, **changes}
    with pytest.raises(ConfigError, match=message):
        build(node, "tasks.x", name="x", data=None)
