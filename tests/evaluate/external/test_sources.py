"""Every data set that can be trained on can be the other set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import read_settings

OPTIONS = sorted(path.stem for path in (config_folder() / "data").glob("*.yaml"))
GIVEN = {
    "medmnist": ["data.flag=breastmnist"],
    "coco": ["data.annotations=a.json"],
    "mixed": ["data@data.sources.first=busi", "data.sources.first.root=PATH"],
}


def asked(run: Path, *words: str) -> Any:
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("evaluate", overrides=[f"run={run}", "samples=10", "page=false", "masks=false", *words])
    return read_settings(resolve(config))


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes(option: str, tmp_path: Path) -> None:
    settings = asked(tmp_path, f"data={option}", *GIVEN.get(option, []))
    assert settings.other
    assert settings.other.split is None
    assert settings.other.node["_target_"].startswith("tandem.data.")
    if option == "medmnist":
        assert settings.other.node["root"] == "~/.medmnist", "its own default"
    if option in ("busi", "folder"):
        assert "root" not in settings.other.node, "not given"


def test_without_a_set_the_root_still_means_moved_data(tmp_path: Path) -> None:
    settings = asked(tmp_path, "data.root=elsewhere")
    assert (settings.other, settings.split, settings.data) == (None, "test", {"root": "elsewhere"})


@pytest.mark.full
def test_busi_of_one_class_is_tested_whole(
    copied: Path, busi_tree: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Too few images for splits of their own, which are not drawn."""
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    root = busi_tree(2)
    found = evaluate_run(asked(copied, "data=busi", f"data.root={root}", "data.groups=none", "by=class"))
    assert found["images"] == 6
    assert found["groups"][0]["images"] == {"benign": 2, "malignant": 2, "normal": 2}
    with pytest.raises(ConfigError, match="data lacks 'root'"):
        evaluate_run(asked(copied, "data=busi"))


@pytest.mark.full
def test_mixed_sets_and_their_sources_are_groups(
    copied: Path, site_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    words = [word for name in ("first", "second") for word in (
        f"data@data.sources.{name}=folder", f"data.sources.{name}.root={site_of(name)}",
        f"data.sources.{name}.table=table.csv", f"data.sources.{name}.near_duplicates=false",
    )]  # fmt: skip
    found = evaluate_run(asked(copied, "data=mixed", *words, "by=scanner"))
    assert found["images"] == 16
    assert found["groups"][0]["images"] == {"first": 8, "second": 8}


@pytest.fixture
def site_of(trees: Any, tmp_path: Path) -> Callable[[str], Path]:
    """A set of eight images, all of one scanner."""

    def make(name: str) -> Path:
        root: Path = trees.table(tmp_path / name, count=8, scanner=lambda _: name)
        return root

    return make
