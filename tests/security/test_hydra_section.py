"""Hydra's own section from files of other people: refused before anything that it names is imported or made."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal import config_loader_impl
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from tandem.config.hydra_internals import GUARDED, JobComposer, make_fast_loader
from tandem.config.hydra_section import check_section, check_words, guard_hydra
from tandem.config.resolve import register
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError

OPEN_CANARY = "{_target_: builtins.open, file: CANARY, mode: w}"

HOSTILE = {
    "a callback": f"hydra: {{callbacks: {{x: {OPEN_CANARY}}}}}",
    "a log handler that replaces a file": (
        "hydra: {job_logging: {handlers: {x: {class: logging.FileHandler, filename: CANARY, mode: w}}}}"
    ),
    "a log handler made by any function": "hydra: {hydra_logging: {handlers: {x: {(): builtins.open}}}}",
    "a launcher": f"hydra: {{mode: MULTIRUN, launcher: {OPEN_CANARY}}}",
    "a sweeper": f"hydra: {{mode: MULTIRUN, sweeper: {OPEN_CANARY}}}",
    "a launcher's shell commands": "hydra: {launcher: {setup: [touch CANARY]}}",
    "options of Slurm's program": "hydra: {launcher: {additional_parameters: {wrap: touch CANARY}}}",
    "the environment": "hydra: {job: {env_set: {TANDEM_ALLOW: os}}}",
    "a copy of the environment": "hydra: {job: {env_copy: [HOME]}}",
    "a reference to another part": "hydra: ${name}",
    "a reference in the place of a part": "hydra: {callbacks: '${name}'}",
    "an empty part": "hydra: {callbacks: {}}",
    "folders of further files": "hydra: {searchpath: ['pkg://antigravity']}",
    "the help": "hydra: {help: {template: x}}",
    "a shipped file in another place": "defaults: ['/callbacks/default@hydra.callbacks']",
    "a shipped launcher as a callback": "defaults: ['/hydra/launcher/processes@hydra.callbacks.x']",
    "a file of its own": "defaults: [override /hydra/callbacks: evil]",
    "a choice of Hydra's": "defaults: [override /hydra/job_logging: disabled]",
}


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Composes a run with a file `experiment/given.yaml` of another folder."""
    files = tmp_path / "files"
    (files / "experiment").mkdir(parents=True)
    (files / "hydra" / "callbacks").mkdir(parents=True)
    canary = f"x: {OPEN_CANARY}".replace("CANARY", str(tmp_path / "canary"))
    (files / "hydra" / "callbacks" / "evil.yaml").write_text(canary)
    register()
    guard_hydra()
    GlobalHydra.instance().clear()

    def run(text: str, *words: str) -> Any:
        text = f"# @package _global_\n{text.replace('CANARY', str(tmp_path / 'canary'))}\n"
        (files / "experiment" / "given.yaml").write_text(text)
        search = f"hydra.searchpath=[file://{files}]"
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            return compose("train", ["experiment=given", search, *words], return_hydra_config=True)

    yield run
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_of_others_cannot_set_it(composed: Callable[..., Any], text: str, tmp_path: Path) -> None:
    refused = r"cannot be (set|chosen) by '|cannot be put into Hydra's|searchpath is only"
    with pytest.raises(Exception, match=refused) as caught:
        composed(text)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("given", ["file", "override"])
def test_the_loader_of_many_jobs_refuses_it_too(tmp_path: Path, given: str) -> None:
    (tmp_path / "experiment").mkdir()
    text = f"# @package _global_\nhydra: {{callbacks: {{x: {OPEN_CANARY}}}}}\n"
    (tmp_path / "experiment" / "given.yaml").write_text(text.replace("CANARY", str(tmp_path / "canary")))
    search = f"hydra.searchpath=[file://{tmp_path}]"
    words = ["experiment=given", search] if given == "file" else ["+hydra.job.env_set={TANDEM_ALLOW: os}"]
    register()
    guard_hydra()
    GlobalHydra.instance().clear()
    refused = r"^hydra\.callbacks\.x\._target_ cannot be set by|^hydra\.job\.env_set\.TANDEM_ALLOW is not allowed"
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        hydras = GlobalHydra.instance().config_loader()
        for loader in (make_fast_loader(hydras.get_search_path()), JobComposer(hydras)):
            with pytest.raises(ConfigError, match=refused):
                loader.load_configuration("train", words, run_mode=RunMode.RUN)
    GlobalHydra.instance().clear()
    assert not (tmp_path / "canary").exists()


def another_hydra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Puts a loader without one of its members, and without a guard, in the place of Hydra's."""
    gone = (missing, "_guarded_by_tandem", "__dict__", "__weakref__")
    members = {key: value for key, value in vars(config_loader_impl.ConfigLoaderImpl).items() if key not in gone}
    monkeypatch.setattr(config_loader_impl, "ConfigLoaderImpl", type("ConfigLoaderImpl", (), members))


@pytest.mark.parametrize("missing", [*GUARDED, "_embed_result_config"])
def test_a_hydra_that_cannot_be_checked_is_refused(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    another_hydra(monkeypatch, missing)
    with pytest.raises(ConfigError, match=rf"^Hydra \S+ composes in a way .*{missing}.*; install hydra-core 1\.3$"):
        guard_hydra()


def test_a_hydra_without_its_loader_is_refused_by_a_command_in_one_line(
    tandem_train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(config_loader_impl, "ConfigLoaderImpl")
    done = tandem_train("experiment=tiny")
    assert done.code == 1
    assert done.error.startswith("Hydra 1.3")
    assert done.error.endswith("; install hydra-core 1.3")


def test_what_a_study_needs_is_open(composed: Callable[..., Any]) -> None:
    text = """
defaults:
  - override /hydra/launcher: processes
hydra:
  mode: MULTIRUN
  run: {dir: mine}
  sweep: {dir: 'mine/${name}', subdir: x}
  sweeper: {params: {seed: '1,2', optimizer.lr: '1e-3,1e-4'}}
  launcher: {n_jobs: 3, timeout_min: 5}
"""
    hydra = composed(text).hydra
    assert (hydra.launcher.n_jobs, hydra.sweeper.params.seed, hydra.run.dir) == (3, "1,2", "mine")


def test_the_person_may_set_anything_but_the_modules_that_are_allowed(composed: Callable[..., Any]) -> None:
    config = composed("seed: 1", "+hydra.job.env_set.A=b", "hydra.help.template=x", "hydra/job_logging=disabled")
    assert config.hydra.job.env_set.A == "b"
    with pytest.raises(
        ConfigError, match=r"^hydra\.job\.env_set\.TANDEM_ALLOW is not allowed; set TANDEM_ALLOW in the"
    ):
        composed("seed: 1", "+hydra.job.env_set={TANDEM_ALLOW: os}")


def test_a_primary_configuration_of_others_is_no_shipped_file(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("hydra: {searchpath: ['pkg://antigravity']}")
    register()
    guard_hydra()
    GlobalHydra.instance().clear()
    with (
        initialize_config_dir(str(tmp_path), version_base="1.3"),
        pytest.raises(ConfigError, match=rf"^hydra\.searchpath cannot be set by 'train' of {tmp_path}"),
    ):
        compose("train")
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("key", ["hydra.job.env_set.A", "+callbacks@hydra.callbacks", "++hydra.launcher._target_"])
def test_what_a_sweep_varies_is_no_way_in(tandem_train: Callable[..., Any], tmp_path: Path, key: str) -> None:
    (tmp_path / "mine" / "study").mkdir(parents=True)
    text = f"# @package _global_\nhydra: {{mode: MULTIRUN, sweeper: {{params: {{'{key}': default}}}}}}\n"
    (tmp_path / "mine" / "study" / "given.yaml").write_text(text)
    done = tandem_train("--config-dir=mine", "experiment=tiny", "study=given")
    assert done.code == 1
    assert done.error.startswith(f"the override '{key}=default' of hydra.sweeper.params sets Hydra's own section; ")


def test_a_pickle_of_an_earlier_job_is_not_read(tandem_train: Callable[..., Any]) -> None:
    assert tandem_train("--experimental-rerun=x").error.startswith("--experimental-rerun reads a pickle")


WORDS = [
    "hydra.job.env_set.A=b",
    "+hydra.callbacks.x._target_=builtins.open",
    "+hydra={callbacks: {x: {_target_: builtins.open}}}",
    "~hydra.callbacks",
    "hydra/callbacks=evil",
    "+callbacks@hydra.callbacks=default",
    "hydra.searchpath=[pkg://antigravity]",
    "hydra.sweeper._target_=builtins.open",
    "hydra/launcher@hydra.callbacks.x=processes",
    "hydra.launcher.setup=[ls]",
    "--config-dir=/elsewhere",
    "--experimental-rerun=x",
    "-m",
    "seed",
    "seed=[",
]


@pytest.mark.parametrize("word", WORDS)
def test_words_of_an_archive_stay_out_of_it(word: str) -> None:
    with pytest.raises(ConfigError, match="of the archive"):
        check_words([word], "the archive")


def test_words_that_an_archive_may_have() -> None:
    check_words(["task=[a,b]", "hydra.searchpath=[file:///mine]", "hydra.searchpath=['file:///my own']"], "it")
    check_words(
        ["seed=1,2", "+a.b=c", "~d", "hydra.mode=RUN", "hydra/launcher=processes", "hydra.run.dir=x"],
        "it",
    )


@pytest.mark.parametrize("given", [None, 3, "text", [], {}, {"hydra": {"run": {}}}, {"hydra": {}}, {"hydrant": 1}])
def test_what_says_nothing_of_it_passes(given: Any) -> None:
    check_section(given, "mine.yaml")
