"""Configurations of a sweep's jobs against those that Hydra's own loader makes, one by one."""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf, open_dict

from tandem.config.resolve import register
from tandem.config.shipped import config_folder
from tandem.jobs.loader import SweepLoader

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
    ("callbacks=early_stopping",),
    ("study=seeds", "seed=7"),
    ("seed=1",),
)
"""Values alone, other options, additions, a part that is taken out; the same again, where it may have changed."""

Loaders = tuple[SweepLoader, ConfigLoaderImpl]


@pytest.fixture
def loaders() -> Iterator[Loaders]:
    """Ours and Hydra's, for the same folder."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        path = GlobalHydra.instance().config_loader().get_search_path()
        yield SweepLoader(path), ConfigLoaderImpl(copy.deepcopy(path))


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
    asked = read.pop("train")
    assert asked == len(set(JOBS)), "by Hydra itself, for each job, since it may name further folders"
    assert set(read.values()) == {1}
    assert len(read) > 20


def test_no_more_is_kept_than_is_said(loaders: Loaders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.jobs.loader.REMEMBERED", 1)
    ours, _ = loaders
    for balance in ("fixed", "pcgrad", "fixed", "pcgrad"):
        found, expected = both(loaders, [f"balance={balance}"])
        assert plain(found) == plain(expected)
    assert (len(ours._composed), len(ours._merged)) == (1, 1)


@pytest.mark.parametrize("word", ["no_such_key=1", "optimizer=no_such", "~balance.no_such", "seed=one"])
def test_mistakes_are_found_as_hydra_finds_them(loaders: Loaders, word: str) -> None:
    messages = []
    for loader in loaders:
        loader.load_sweep_config(master(), list(SWEEP))
        with pytest.raises(HydraException) as caught:
            loader.load_sweep_config(master(), [*SWEEP, word])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
