"""`tandem.compose` is the command line's way to a configuration, wherever it is called."""

import inspect
import logging
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydras_compose
from hydra import initialize_config_dir, initialize_config_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_launcher import BasicLauncherConf
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase
from omegaconf import OmegaConf

import tandem
from tandem.config.hydra_internals import GUARDED
from tandem.config.resolve import resolve
from tandem.config.shipped import take_launchers
from tandem.errors import ConfigError

TINY = ["experiment=tiny", "data.train=12", "optimizer.lr=0.01"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any working directory does."""
    monkeypatch.chdir(tmp_path)


def test_it_is_what_the_command_composes(tandem_train: Any, tmp_path: Path) -> None:
    config = tandem.compose(TINY)
    shown = tandem_train(*TINY, "--cfg", "job", "--resolve").out
    as_typed = ("monitor", "mode", "monitors", "callbacks")  # --cfg shows `auto`, which a job resolves
    theirs = {key: value for key, value in OmegaConf.create(shown).items() if key not in as_typed}
    assert {key: config[key] for key in theirs} == theirs
    assert config.folder == tmp_path / "runs" / "tiny" / config.hash


def test_twice_in_a_row_and_with_other_names_it_is_the_same_run() -> None:
    first, again = tandem.compose(TINY), tandem.compose(TINY)
    assert dict(first) == dict(again)
    assert tandem.compose([*TINY, "name=other", "logger=none"]).hash == first.hash
    assert tandem.compose([*TINY, "seed=1"]).hash != first.hash


def test_values_are_copies_so_that_the_hash_stays_true() -> None:
    config = tandem.compose(TINY)
    config["optimizer"]["lr"] = 5
    assert config["optimizer"]["lr"] == 0.01
    with pytest.raises(TypeError):
        config["seed"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sed=1"], "unknown key 'sed': did you mean 'seed'"),
        (["loss=focal"], "did you mean 'loss/multiclass@tasks.classification.loss=focal' or 'loss/binary@"),
        pytest.param(["data=nope"], "no option 'nope' in the config group 'data'", marks=pytest.mark.full),
        pytest.param(["seed"], "write key=value", marks=pytest.mark.full),
        (["seed=-1"], "seed is -1, but must be at least 0"),
        pytest.param(["monitor=test/loss"], "chosen on validation data", marks=pytest.mark.full),
        pytest.param(["runs="], "runs is empty", marks=pytest.mark.full),
        (["trainer.max_epochs=three"], "trainer.max_epochs is 'three'"),
        pytest.param(["hydra.run.dir=${nothing}"], "nothing", marks=pytest.mark.full),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_command(words: list[str], told: str, tandem_train: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        tandem.compose(words)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value) == tandem_train(*words, "experiment=tiny").error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["study=seeds"], r"several runs \(a study\)"),
        (["experiment=tiny", "seed=0,1"], r"several runs \(seed=0,1\)"),
        (["-m"], "a flag of the command line"),
        ("seed=1", "a list of texts"),
    ],
)
def test_what_one_configuration_cannot_be_is_refused(words: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        tandem.compose(words)


def test_own_options_come_from_a_folder(tmp_path: Path) -> None:
    place = tmp_path / "mine" / "optimizer"
    place.mkdir(parents=True)
    (place / "own.yaml").write_text("_target_: torch.optim.SGD\n_partial_: true\nlr: 0.5\n")
    config = tandem.compose(["experiment=tiny", "optimizer=own"], config_dir="mine")
    assert config["optimizer"]["lr"] == 0.5
    with pytest.raises(ConfigError, match="there is no folder"):
        tandem.compose([], config_dir="yours")


def test_files_of_others_cannot_set_hydras_section(tmp_path: Path) -> None:
    place = tmp_path / "mine" / "experiment"
    place.mkdir(parents=True)
    (place / "bad.yaml").write_text("# @package _global_\nhydra:\n  job:\n    env_set:\n      A: b\n")
    with pytest.raises(ConfigError, match=r"hydra.job.env_set.A cannot be set by"):
        tandem.compose(["experiment=bad"], config_dir="mine")


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program that ran no command of tandem."""
    for name in GUARDED:
        monkeypatch.setattr(ConfigLoaderImpl, name, inspect.unwrap(getattr(ConfigLoaderImpl, name)))
    monkeypatch.setattr(ConfigLoaderImpl, "_guarded_by_tandem", False, raising=False)
    ConfigStore.instance().store(group="hydra/launcher", name="basic", node=BasicLauncherConf, provider="hydra")


def test_a_program_that_uses_hydra_itself_is_left_as_it_was(tmp_path: Path, unguarded: None) -> None:
    (tmp_path / "main.yaml").write_text("a: 1\nhydra:\n  job:\n    env_set:\n      A: b\n")
    with initialize_config_dir(str(tmp_path), version_base="1.2"):
        hydras = GlobalHydra.instance().hydra
        tandem.compose(TINY)
        with pytest.raises(ConfigError):
            tandem.compose(["sed=1"])
        assert GlobalHydra.instance().hydra is hydras
        assert str(VersionBase.instance().getbase()) == "1.2"
        before = logging.getLogger().handlers[:]
        assert hydras_compose("main").a == 1
        assert logging.getLogger().handlers == before
    assert not GlobalHydra.instance().is_initialized()


def test_hydras_own_compose_finds_the_options(tmp_path: Path) -> None:
    take_launchers()  # another test may have given Hydra its own ones back
    with initialize_config_module("tandem.conf", version_base="1.3"):
        config = hydras_compose("train", TINY)
        whole = hydras_compose("train", TINY, return_hydra_config=True)
        assert f"{Path(whole.hydra.run.dir).absolute()}" == str(tandem.compose(TINY).folder)
    assert resolve(config) == dict(tandem.compose(TINY))


def test_a_notebook_shows_it_escaped() -> None:
    shown = tandem.compose(["experiment=tiny", "name='<b>x'"])._repr_html_()
    assert "&lt;b&gt;x" in shown
    assert "<b>x" not in shown
