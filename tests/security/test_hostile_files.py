"""Runs, archives, papers and configurations of others: whatever they name, no program runs and no file changes."""

import copy
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.security.hostile import KEPT, change

import tandem
from tandem.config.instantiate import build
from tandem.config.slots import PLACES, SLOTS, Slot
from tandem.errors import ConfigError, DataError, TandemError
from tandem.paper.archive import open_archive
from tandem.paper.jobs import filled
from tandem.paper.reading import read_paper

CANARY = "canary"

PROGRAMS: list[dict[str, Any]] = [
    {"_target_": "tandem.jobs.process.Child", "command": ["touch", CANARY]},
    {"_target_": "tandem.jobs.Child", "command": ["touch", CANARY]},
    {"_target_": "tandem.utils.files.write_text", "_args_": [CANARY, "x"]},
    {"_target_": "tandem.paper.launch.train", "words": ["--help"]},
    {"_target_": "tandem.utils.optional.load", "_args_": ["antigravity", "x", "y"]},
    {"_target_": "subprocess.run", "args": ["touch", CANARY]},
    {"_target_": "os.system", "command": f"touch {CANARY}"},
    {"_target_": "builtins.open", "file": CANARY, "mode": "w"},
    {"_target_": "pathlib.Path", "_args_": [CANARY]},
    {"_target_": "torch.hub.load", "_args_": ["a/b", "c"]},
    {"_target_": "torch.load", "f": CANARY, "weights_only": False},
    {"_target_": "torch.utils.collect_env.run", "_args_": [f"touch {CANARY}"]},
    {"_target_": "joblib.load", "filename": CANARY},
    {"_target_": "pandas.read_pickle", "_args_": [CANARY]},
    {"_target_": "numpy.load", "file": CANARY, "allow_pickle": True},
    {"_target_": "logging.FileHandler", "filename": CANARY, "mode": "w"},
    {"_target_": "shutil.copyfile", "src": "/etc/hostname", "dst": CANARY},
    {"_target_": "torchmetrics.image.fid.FrechetInceptionDistance"},
    {"_target_": "torchmetrics.text.bert.BERTScore", "model_name_or_path": CANARY},
    {"_target_": "pytorch_lightning.cli.LightningCLI"},
    {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint.__class__"},
    {"_target_": "tandem.network.make.torch.load", "f": CANARY},
]
"""What once ran, or would run, download or overwrite."""


def disguises(node: dict[str, Any]) -> Iterator[Any]:
    """The node as it can be hidden."""
    yield node
    yield {**node, "_partial_": True}
    yield {**node, "_recursive_": False}
    yield [node]
    yield {"a": {"b": [node]}}
    yield {"_target_": "tandem.losses.binary.Focal", "gamma": node}
    yield {"_target_": "tandem.losses.Composite", "terms": {"a": node}, "weights": {"a": 1.0}}
    yield {"_target_": "torch.optim.SGD", "_args_": [node]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in; it is still empty in the end."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "work"
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda node: node["_target_"])
def test_no_slot_makes_it_however_it_is_hidden(program: dict[str, Any], here: Path) -> None:
    for pattern in PLACES:
        where = pattern.replace("*", "x")
        for hidden in disguises(program):
            node = hidden if isinstance(hidden, dict) and "_target_" in hidden else {**program, "more": hidden}
            with pytest.raises(ConfigError) as caught:
                build(node, where)
            assert "\n" not in str(caught.value)
            assert str(caught.value).startswith(where)


@pytest.mark.parametrize("slot", SLOTS)
def test_no_slot_admits_what_belongs_in_another(slot: str) -> None:
    """Of each sort of part one, by name; a slot takes its own, and a loss only where losses stand."""
    parts = {
        "data": "tandem.data.phantom.Phantom", "task": "tandem.tasks.SegmentationTask",
        "loss": "tandem.losses.binary.Focal", "balance": "tandem.balance.DWA", "optimizer": "torch.optim.SGD",
        "scheduler": "torch.optim.lr_scheduler.StepLR", "penalty": "tandem.penalties.L1",
        "callback": "tandem.callbacks.MetricsCSV", "logger": "tandem.trackers.Files",
        "trainer": "pytorch_lightning.Trainer", "refine": "tandem.refine.Consistency", "pruner": "tandem.search.Median",
        "network": "tandem.network.make_network", "metric": "tandem.metrics.BrierScore",
        "objective": "tandem.adversarial.Standard", "profiler": "pytorch_lightning.profilers.SimpleProfiler",
    }  # fmt: skip
    admitted = {name for name, target in parts.items() if _takes(SLOTS[slot], target)}
    assert admitted == {slot} & parts.keys()


def _takes(slot: Slot, target: str) -> bool:
    from tandem.config.instantiate import resolve_target

    try:
        resolve_target(target, "x", slot)
    except ConfigError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ any run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(KEPT, tmp_path / "runs" / "kept" / "run"))


KEYS = (
    *("penalties.x", "tasks.x", "tasks.segmentation.loss", "tasks.segmentation.metrics.x", "balance", "optimizer"),
    *("optimizer.betas", "scheduler", "network", "network.decoder", "network.backbone_options.act_layer"),
    "tasks.segmentation.adversary",
)


@pytest.mark.parametrize("key", KEYS)
def test_a_run_of_others_runs_nothing(run: Path, here: Path, key: str) -> None:
    change(run, f"config.{key}", PROGRAMS[0])
    with pytest.raises(ConfigError, match=r"_target_ 'tandem\.jobs\.process\.Child' is not allowed"):
        tandem.load(run, device="cpu")


@pytest.mark.parametrize("key", ["checkpoint_path", "pretrained_cfg", "cache_dir"])
def test_a_run_of_others_opens_no_weights(run: Path, here: Path, key: str) -> None:
    change(run, f"config.network.backbone_options.{key}", "/elsewhere")
    with pytest.raises(ConfigError, match=rf"network\.backbone_options\.{key} would fetch or read weights"):
        tandem.load(run, device="cpu")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TARGETS = st.sampled_from([program["_target_"] for program in PROGRAMS]) | st.text(max_size=20)
NODES = st.builds(
    lambda target, more: {**more, "_target_": target}, TARGETS, st.dictionaries(st.text(max_size=8), JSON)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.sampled_from([place.replace("*", "x") for place in PLACES]), node=NODES)
@example(where="penalties.x", node={"_target_": "tandem.jobs.process.Child", "command": ["touch", CANARY]})
@example(where="data", node={"_target_": "tandem.data.source.Source"})
@example(where="data", node={"_target_": "tandem.data.mixed.Mixed", "sources": {"a": {"_target_": "os.system"}}})
@example(where="loss", node={"_target_": {"_target_": "os.system"}})
@example(where="loss", node={"_target_": "tandem.losses.Composite", "terms": [[{"_target_": "os.system"}]]})
@example(where="callbacks.x", node={"_target_": "pytorch_lightning.callbacks.Callback.mro"})
@example(where="trainer", node={"_target_": "pytorch_lightning.Trainer", "callbacks": [{"_target_": "os.system"}]})
@example(where="trainer", node={"_target_": "pytorch_lightning.Trainer", "profiler": {"_target_": "os.system"}})
def test_any_configuration_is_refused_in_one_line(where: str, node: dict[str, Any], here: Path) -> None:
    before = copy.deepcopy(node)
    with pytest.raises(TandemError) as caught:
        build(node, where)
    assert "\n" not in str(caught.value)
    assert repr(node) == repr(before)


@pytest.mark.full
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from([*KEYS, "data", "tasks", "network.weights", "parameters"]), value=JSON | NODES)
@example(key="network", value=None)
@example(key="tasks", value=[])
@example(key="penalties.x", value=PROGRAMS[0])
def test_any_results_are_read_or_refused(run: Path, here: Path, key: str, value: Any) -> None:
    shutil.copy(KEPT / "results.json", run / "results.json")
    change(run, f"config.{key}", value)
    with suppress(TandemError):
        tandem.load(run, device="cpu")


@pytest.mark.parametrize("value", [None, True, 3, "x", [], {"sources": 3}, {"sources": {"a": None}}], ids=str)
def test_results_whose_data_are_no_options(run: Path, value: Any) -> None:
    change(run, "config.data", value)
    with pytest.raises(DataError, match=r"results\.json holds no options of the data"):
        tandem.load(run, device="cpu")


@pytest.mark.parametrize("text", ["3", "[]", "null", "{}", '{"config": 3}', '{"config": []}'])
def test_results_that_are_none(run: Path, text: str) -> None:
    (run / "results.json").write_text(text)
    with pytest.raises(DataError, match="holds no configuration"):
        tandem.load(run, device="cpu")


# -------------------------------------------------------------------------------------------------------------- papers

PAPER: Mapping[str, Any] = {
    "name": "p",
    "title": "P",
    "studies": {"s": ["experiment=tiny"]},
    "budgets": {"b": {"about": "x"}},
    "tables": {"t": {"title": "T", "study": "s"}},
}


def paper_with(key: str, name: str) -> dict[str, Any]:
    node: dict[str, Any] = copy.deepcopy(dict(PAPER))
    if key == "name":
        return {**node, "name": name}
    if key == "figures":
        return {**node, "figures": {name: {"table": "t"}}}
    (value,) = node[key].values()
    return {**node, key: {name: value}}


@pytest.mark.parametrize("key", ["name", "tables", "figures", "budgets", "studies"])
@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/b", "..", "", "a\x1b[2J", "a\nb"])
def test_names_in_a_paper_are_no_paths(key: str, name: str) -> None:
    assert read_paper(PAPER).name == "p"
    with pytest.raises(ConfigError, match=rf"^paper\.{key} has the name .* which can be no file's name") as caught:
        read_paper(paper_with(key, name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["hydra.callbacks.x._target_=builtins.open", "--config-dir=/x", "-m"])
def test_words_in_a_paper_start_nothing(word: str) -> None:
    with pytest.raises(ConfigError, match="of the paper"):
        filled(["seed=1", word], {})


@pytest.mark.parametrize("place", ["../out", "/abs", "a/../../b"])
def test_an_archive_names_no_run_outside(tmp_path: Path, place: str) -> None:
    job = {"study": "s", "overrides": [], "choices": {}, "place": place}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("paper.json", json.dumps({"jobs": [job], "paper": dict(PAPER), "budget": "b"}))
    with pytest.raises(DataError, match="names a run outside its folder"):
        open_archive(tmp_path / "a.zip", tmp_path / "out")


def test_an_archive_of_others_refines_with_nothing_else(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"^paper\.refine: _target_ 'tandem\.jobs\.process\.Child' is not allowed"):
        build(PROGRAMS[0], "paper.refine")


Command = Callable[..., Any]


def test_an_experiment_of_others_writes_in_its_own_folder(tandem_train: Command, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    done = tandem_train("experiment=tiny", f"callbacks.metrics_csv.path={outside}")
    assert done.error.startswith(f"callbacks.metrics_csv.path is '{outside}', which lies outside the run's folder")
    assert not outside.exists()
