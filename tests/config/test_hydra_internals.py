"""Configurations of a sweep's jobs against Hydra's own, and a Hydra whose private parts differ."""

import copy
import inspect
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal import config_loader_impl, config_repository
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from tandem.config import hydra_internals
from tandem.config.hydra_internals import GUARDED, JobComposer, make_fast_loader
from tandem.config.resolve import register
from tandem.config.shipped import config_folder

SOURCES = Path(hydra_internals.__file__).parents[2]

SWEEP = ("experiment=tiny", "trainer.max_epochs=3")
"""What is typed for all jobs."""

JOBS: tuple[tuple[str, ...], ...] = (
    ("seed=1",),
    ("seed=2",),
    ("seed=2", "data=phantom", "+data.note=[1,2]"),
    ("task=segmentation", "loss/binary@tasks.segmentation.loss=tversky", "tasks.segmentation.loss.alpha=0.3"),
    ("task=segmentation", "loss/binary@tasks.segmentation.loss=tversky", "tasks.segmentation.loss.alpha=0.6"),
    ("task=[segmentation]",),
    ("~callbacks.early_stopping", "callbacks=early_stopping"),
    ("optimizer.lr=0.5", "~optimizer.lr", "seed=3"),
    ("optimizer.lr=0.5", "optimizer=sgd", "optimizer.momentum=0.5", "seed=3"),
    ("+data.note=1", "+data={note:2}"),
    ("hydra.job.config.override_dirname.exclude_keys=[seed]", "seed=3"),
    ("callbacks=early_stopping",),
    ("study=seeds", "seed=7"),
    ("seed=1",),
)
"""Values alone, other options, additions, a part that is taken out; the same again, where it may have changed."""

Loaders = tuple[Any, ConfigLoaderImpl]


@pytest.fixture(autouse=True)
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra's loader without the guard that a command of an earlier test may have set."""
    for name in GUARDED:
        monkeypatch.setattr(ConfigLoaderImpl, name, inspect.unwrap(getattr(ConfigLoaderImpl, name)))


@pytest.fixture
def loaders() -> Iterator[Loaders]:
    """Ours and Hydra's, for the same folder."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        path = GlobalHydra.instance().config_loader().get_search_path()
        yield make_fast_loader(path), ConfigLoaderImpl(copy.deepcopy(path))


def master(typed: Sequence[str] = ()) -> DictConfig:
    """What a loader is given of the sweep's own configuration."""
    return OmegaConf.create({"hydra": {"overrides": {"hydra": list(typed)}, "job": {"config_name": "train"}}})


def both(loaders: Loaders, words: Sequence[str], typed: Sequence[str] = ()) -> tuple[DictConfig, DictConfig]:
    """A job's configuration by each loader."""
    ours, hydras = loaders
    words = [*SWEEP, *words]
    return ours.load_sweep_config(master(typed), words), hydras.load_sweep_config(master(typed), words)


def plain(config: DictConfig) -> Any:
    return OmegaConf.to_container(config, resolve=False)


@pytest.mark.full
def test_each_job_is_what_hydra_makes_of_it(loaders: Loaders) -> None:
    for words in JOBS:
        found, expected = both(loaders, words, ["hydra.verbose=true"])
        assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected), f"{words}, and in the order that is printed"
        assert found._metadata.flags == expected._metadata.flags, "closed to unknown keys"
        assert OmegaConf.get_type(found) == OmegaConf.get_type(expected)
        assert found.hydra.verbose is True


def test_what_is_done_to_one_job_does_not_reach_the_next(loaders: Loaders) -> None:
    first, _ = both(loaders, ["seed=1"])
    first.optimizer.lr = 77.0
    with open_dict(first):
        del first["callbacks"]
        first.hydra.job.num = 5
    second, expected = both(loaders, ["seed=2"])
    assert plain(second) == plain(expected)


def test_the_same_words_are_composed_once(loaders: Loaders) -> None:
    ours, _ = loaders
    words = [*SWEEP, "seed=1"]
    assert ours.load_sweep_config(master(), words) is ours.load_sweep_config(master(), list(words))


def test_files_of_the_folder_that_a_job_names_come_first_for_that_job_alone(loaders: Loaders, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nname: mine\nseed: 3\n")
    search = f"hydra.searchpath=[file://{tmp_path}]"
    for words in (["seed=1"], ["experiment=mine", search], ["seed=2"]):
        found, expected = both(loaders, words)
        assert plain(found) == plain(expected)
    with pytest.raises(HydraException, match="mine"):
        both(loaders, ["experiment=mine"])


@pytest.mark.parametrize("later", [["seed=2"], ["balance=pcgrad"]])
def test_a_file_that_changes_during_a_sweep_counts_as_it_was(
    loaders: Loaders, tmp_path: Path, later: list[str]
) -> None:
    (tmp_path / "optimizer").mkdir()
    file = tmp_path / "optimizer" / "mine.yaml"
    words = ["optimizer=mine", f"hydra.searchpath=[file://{tmp_path}]"]
    file.write_text("_target_: torch.optim.SGD\nlr: 0.1\n")
    assert [job.optimizer.lr for job in both(loaders, words)] == [0.1, 0.1]
    file.write_text("defaults: [no_such, _self_]\nlr: 0.2\n")
    ours, hydras = loaders
    assert ours.load_sweep_config(master(), [*SWEEP, *words, *later]).optimizer.lr == 0.1
    with pytest.raises(HydraException, match="no_such"):
        hydras.load_sweep_config(master(), [*SWEEP, *words, *later])


def test_a_file_is_read_once_for_all_jobs(loaders: Loaders, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()
    load = ConfigRepository.load_config

    def counting(self: ConfigRepository, config_path: str) -> ConfigResult | None:
        read[config_path] += 1
        return load(self, config_path)

    monkeypatch.setattr(ConfigRepository, "load_config", counting)
    ours, _ = loaders
    for words in JOBS:
        ours.load_sweep_config(master(), [*SWEEP, *words])
    bases = read.pop("train")
    assert bases == len(ours.bases) == 11, "by Hydra itself, for each base, which may name further folders"
    assert set(read.values()) == {1}
    assert len(read) > 20


def test_no_more_is_kept_than_is_said(loaders: Loaders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.config.hydra_internals.REMEMBERED", 1)
    ours, _ = loaders
    for balance in ("fixed", "pcgrad", "fixed", "pcgrad"):
        found, expected = both(loaders, [f"balance={balance}"])
        assert plain(found) == plain(expected)
    assert (len(ours.composed), len(ours.bases)) == (1, 1)


@pytest.mark.parametrize("word", ["no_such_key=1", "optimizer=no_such", "~balance.no_such", "seed=one"])
def test_mistakes_are_found_as_hydra_finds_them(loaders: Loaders, word: str) -> None:
    messages = []
    for loader in loaders:
        loader.load_sweep_config(master(), list(SWEEP))
        with pytest.raises(HydraException) as caught:
            loader.load_sweep_config(master(), [*SWEEP, word])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


# ------------------------------------------------------------------------------------------- a Hydra that has changed

Change = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines that were logged about private parts, none of which was reported before."""
    monkeypatch.setattr(hydra_internals, "_reported", set())
    caplog.set_level(logging.WARNING, hydra_internals.__name__)
    return lambda: [record.getMessage() for record in caplog.records if record.name == hydra_internals.__name__]


def without(name: str, *changed: Any) -> Change:
    """The loader of another Hydra: without a method, or with another in its place."""

    def change(monkeypatch: pytest.MonkeyPatch) -> None:
        members = {key: value for key, value in vars(ConfigLoaderImpl).items() if key not in (name, "__dict__")}
        newer = type("ConfigLoaderImpl", (ConfigLoader,), members | dict(zip([name], changed, strict=False)))
        monkeypatch.setattr(config_loader_impl, "ConfigLoaderImpl", newer)

    return change


def no_module(name: str) -> Change:
    return lambda monkeypatch: monkeypatch.setitem(sys.modules, name, None)


def no_member(module: Any, name: str) -> Change:
    return lambda monkeypatch: monkeypatch.delattr(module, name)


CHANGES = {
    "module": no_module("hydra._internal.config_loader_impl"),
    "repository_module": no_module("hydra._internal.config_repository"),
    "loader": no_member(config_loader_impl, "ConfigLoaderImpl"),
    "repository": no_member(config_repository, "CachingConfigRepository"),
    "dirname": no_member(config_loader_impl, "get_overrides_dirname"),
    "parse_gone": without("_parse_overrides_and_create_caching_repo"),
    "parse_gives_a_list": without("_parse_overrides_and_create_caching_repo", lambda self, name, overrides: []),
    "merge_gone": without("_compose_config_from_defaults_list"),
    "merge_signature": without("_compose_config_from_defaults_list", lambda self, defaults: OmegaConf.create()),
    "merge_gives_nothing": without(
        "_compose_config_from_defaults_list", lambda self, defaults, repo: OmegaConf.create({"hydra": {}})
    ),
    "apply_gone": without("_apply_overrides_to_config"),
    "apply_signature": without("_apply_overrides_to_config", staticmethod(lambda overrides: None)),
    "apply_does_nothing": without("_apply_overrides_to_config", staticmethod(lambda overrides, config: None)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_loader_that_has_changed_is_not_used_and_the_jobs_stay_the_same(
    loaders: Loaders, lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    _, hydras = loaders
    with monkeypatch.context() as newer:
        change(newer)
        composer = JobComposer(hydras)
    for words in JOBS[:2]:
        typed = [*SWEEP, *words]
        assert plain(composer.load_sweep_config(master(), typed)) == plain(hydras.load_sweep_config(master(), typed))
    assert composer._fast is None
    (line,) = lines()
    assert line.startswith("Hydra 1.3.8 differs in its loader of configurations (")
    assert line.endswith("); composing jobs takes longer")
    JobComposer(hydras)._fall_back(ValueError("again"))
    assert len(lines()) == 1, "once per process"


@pytest.mark.full
def test_a_hydra_that_has_not_changed_is_reported_by_nothing(loaders: Loaders, lines: Callable[[], list[str]]) -> None:
    _, hydras = loaders
    composer = JobComposer(hydras)
    with pytest.raises(HydraException, match="no_such"):
        composer.load_sweep_config(master(), [*SWEEP, "optimizer=no_such"])
    for words in [*JOBS[:4], ("hydra.sweep.subdir=${hydra.job.num}", "seed=1")]:
        typed = [*SWEEP, *words]
        assert plain(composer.load_sweep_config(master(), typed)) == plain(hydras.load_sweep_config(master(), typed))
        alone = composer.load_configuration("train", typed, run_mode=RunMode.RUN, from_shell=False)
        assert plain(alone) == plain(compose("train", typed, return_hydra_config=True))
    assert composer._fast is not None
    assert lines() == []
    assert composer.get_search_path() is hydras.get_search_path(), "what else Hydra asks a loader for"


def test_a_shared_store_changes_no_configuration_and_one_that_cannot_be_shared_is_reported(
    loaders: Loaders, lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(vars(ConfigStore.instance()), "__deepcopy__", raising=False)
    copied = compose("train", list(SWEEP))
    hydra_internals.share_store()
    assert copy.deepcopy(ConfigStore.instance()) is ConfigStore.instance()
    compose("train", list(SWEEP)).optimizer.lr = 77.0
    assert plain(compose("train", list(SWEEP))) == plain(copied)
    assert lines() == []

    class Slotted:
        __slots__ = ()

    monkeypatch.setattr(ConfigStore, "instance", Slotted)
    hydra_internals.share_store()
    (line,) = lines()
    assert "differs in its store of configurations (TypeError: " in line


def test_launchers_are_removed_and_a_store_of_another_form_is_reported(
    lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="of_another_package", node={"n_jobs": 1})
    hydra_internals.remove_launchers(["of_another_package.yaml", "no_such.yaml"])
    assert "of_another_package.yaml" not in store.list("hydra/launcher")
    assert lines() == []
    monkeypatch.setattr(store, "repo", {"hydra/launcher": {}})
    hydra_internals.remove_launchers(["joblib.yaml"])
    (line,) = lines()
    assert "differs in its store of launchers (KeyError: 'hydra')" in line


def test_callbacks_that_are_kept_elsewhere_are_reported(lines: Callable[[], list[str]]) -> None:
    def callbacks(kept: Any) -> Sequence[Any]:
        return hydra_internals.sweep_callbacks(cast(HydraContext, SimpleNamespace(callbacks=kept)))

    one = object()
    assert callbacks(SimpleNamespace(callbacks=[one])) == [one]
    assert lines() == []
    assert callbacks(SimpleNamespace(registered=[one])) == []
    assert len(lines()) == 1


def test_no_other_module_imports_private_parts_of_hydra() -> None:
    users = [path.name for path in SOURCES.rglob("*.py") if "hydra._internal" in path.read_text(encoding="utf-8")]
    assert sorted(users) == ["hydra_application.py", "hydra_internals.py"]
