"""A person's own paths: where they are read, what they may set and never override, and that no hash shows them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from tandem.config import own_paths
from tandem.config.hydra_section import guard_hydra
from tandem.config.identity import run_hash
from tandem.config.own_paths import OwnPaths, own_files, read_own, use_cache
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError

OWN = """
data:
  busi: {root: /own/busi}
  medmnist: {root: ~/own}
cache: /own/cache
logger: [csv, mlflow]
trackers:
  mlflow: {tracking_uri: "http://example.org:5000"}
  csv: {folder: "{run}/tables"}
"""


@pytest.fixture
def hydra() -> Iterator[None]:
    register()
    guard_hydra()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        yield


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    monkeypatch.setenv("TANDEM_LOCAL", str(file))
    return file


def composed(*words: str) -> dict[str, Any]:
    return resolve(compose("train", list(words)))


@pytest.mark.usefixtures("own", "hydra")
def test_a_path_is_filled_in_as_if_it_were_typed() -> None:
    config = compose("train", ["data=busi"], return_hydra_config=True)
    assert config.data.root == "/own/busi"
    assert list(config.hydra.overrides.task) == ["data=busi"]
    assert composed("data=medmnist", "data.flag=x")["data"]["root"] == "~/own"
    mixed = composed("data=mixed", "data@data.sources.second=busi")
    assert mixed["data"]["sources"]["second"]["root"] == "/own/busi"
    assert run_hash(composed("data=busi")) == run_hash(composed("data=busi", "data.root=/own/busi", "logger=none"))


@pytest.mark.usefixtures("own", "hydra")
def test_what_is_typed_or_chosen_stays() -> None:
    assert composed("data=busi", "data.root=/typed")["data"]["root"] == "/typed"
    assert composed("data=medmnist", "data.flag=x", "data.root='~/.medmnist'")["data"]["root"] == "~/.medmnist"
    assert "root" not in composed()["data"]
    assert composed("logger=none")["logger"] == {}
    assert list(composed("logger=[tensorboard]")["logger"]) == ["tensorboard"]
    assert composed("logger=csv", "logger.csv.folder=typed")["logger"]["csv"]["folder"] == "typed"


@pytest.mark.usefixtures("own", "hydra")
def test_trackers_and_their_options_are_filled_in() -> None:
    logger = composed("name=mine")["logger"]
    assert list(logger) == ["csv", "mlflow"]
    assert logger["mlflow"]["tracking_uri"] == "http://example.org:5000"
    assert logger["mlflow"]["experiment"] == "mine"
    assert logger["csv"]["folder"] == "{run}/tables"


@pytest.mark.usefixtures("hydra")
def test_a_folder_of_data_sets_has_them_by_the_names_of_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "busi").mkdir()
    monkeypatch.setenv("TANDEM_DATA", str(tmp_path))
    assert composed("data=busi")["data"]["root"] == str(tmp_path / "busi")
    assert composed("data=busi", "data.root=/typed")["data"]["root"] == "/typed"
    with pytest.raises(ConfigError, match=r"^data\.root has no value; .*; the folder of TANDEM_DATA \(.*\) has none"):
        composed("data=folder")


def test_the_first_place_that_has_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf, home = tmp_path / "conf", tmp_path / "home"
    (conf / "local").mkdir(parents=True)
    (home / "tandem").mkdir(parents=True)
    monkeypatch.setattr(own_paths, "config_folder", lambda: conf)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.delenv("TANDEM_LOCAL")
    assert own_files() == []
    (home / "tandem" / "local.yaml").write_text("cache: /home\n")
    assert read_own().cache == "/home"
    for name in ("b", "a"):
        (conf / "local" / f"{name}.yaml").write_text(f"cache: /{name}\n")
    assert read_own().cache == "/b"
    (tmp_path / "named.yaml").write_text("")
    monkeypatch.setenv("TANDEM_LOCAL", str(tmp_path / "named.yaml"))
    assert read_own() == OwnPaths()
    monkeypatch.setenv("TANDEM_LOCAL", "")
    assert own_files() == []
    monkeypatch.setenv("TANDEM_LOCAL", "gone.yaml")
    with pytest.raises(ConfigError, match=r"^TANDEM_LOCAL=gone\.yaml is no file"):
        own_files()


@pytest.mark.usefixtures("own")
def test_the_cache_is_that_of_the_process_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", "/set")
    use_cache()
    assert os.environ["TANDEM_CACHE"] == "/set"
    monkeypatch.delenv("TANDEM_CACHE")
    use_cache()
    assert os.environ["TANDEM_CACHE"] == "/own/cache"


ONLY = "but may set only data.OPTION.root, cache, logger, trackers.NAME.OPTION: nothing that changes a result"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: 1", f"sets seed, {ONLY}"),
        ("data: {busi: {root: a, size: 3}}", f"sets data.busi.size, {ONLY}"),
        ("data: {busi: {subset: a}}", f"sets data.busi.subset, {ONLY}"),
        ("data: {busi: a}", f"sets data.busi, {ONLY}"),
        ("hydra: {job: {env_set: {A: b}}}", f"sets hydra.job.env_set.A, {ONLY}"),
        ("trackers: {csv: {_target_: os.system}}", f"sets trackers.csv._target_, {ONLY}"),
        ("trackers: {csv: {a: {_target_: os.system}}}", f"sets trackers.csv.a._target_, {ONLY}"),
        ("data: {busi: {root: 3}}", ": data.busi.root is 3, but must be the path of a folder"),
        ("cache: []", ": cache is [], but must be the path of a folder"),
        ("logger: [tensorbord]", ": logger has 'tensorbord': did you mean 'tensorboard'?"),
        ("- a", "is a list, but must have the keys data.OPTION.root, cache, logger, trackers.NAME.OPTION"),
        ("a: [", "cannot be read: "),
        ("cache: ${nope}", "cannot be read: "),
    ],
)
def test_a_file_that_sets_anything_else_is_refused(own: Path, text: str, line: str) -> None:
    own.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_own()
    assert str(caught.value).startswith((f"{own} {line}", f"{own}{line}"))
    assert "\n" not in str(caught.value)


def test_a_file_in_a_folder_of_somebody_else_is_not_read(tmp_path: Path, in_process: Any) -> None:
    from tandem.train.run import main

    (tmp_path / "handed" / "local").mkdir(parents=True)
    (tmp_path / "handed" / "local" / "mine.yaml").write_text("data: {medmnist: {root: /theirs}}\n")
    done = in_process(main)("--config-dir", "handed", "data=medmnist", "data.flag=x", "--cfg", "job")
    assert "root: ~/.medmnist" in done.out
