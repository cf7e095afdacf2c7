"""A command's configuration is composed once, and is the one that Hydra composes."""

from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from tandem.config import hydra_internals
from tandem.config.hydra_application import AS_RUN, compose_once
from tandem.config.resolve import register
from tandem.config.shipped import config_folder


@pytest.fixture
def hydras() -> Any:
    """Hydra's own method."""
    method = ConfigLoaderImpl.load_configuration
    return getattr(method, "__wrapped__", method)


@pytest.fixture
def once(hydras: Any, monkeypatch: pytest.MonkeyPatch) -> list[RunMode]:
    """The mode of each composition, while Hydra composes once."""
    register()
    made: list[RunMode] = []

    def counted(self: Any, name: str, overrides: list[str], run_mode: RunMode, **options: Any) -> Any:
        made.append(run_mode)
        return hydras(self, name, overrides, run_mode, **options)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    monkeypatch.setattr(ConfigLoaderImpl, "_composes_once_by_tandem", False, raising=False)
    compose_once()
    compose_once()  # may be called again
    return made


def loader() -> Any:
    """Hydra's loader, as it finds tandem's files."""
    return ConfigLoaderImpl(create_config_search_path(str(config_folder())))


def composed(words: list[str], add: str = AS_RUN) -> Any:
    """What Hydra does in a command: it asks for the mode, adds it, and composes for the run."""
    hydra = loader()
    mode = hydra.load_configuration("train", words, run_mode=RunMode.MULTIRUN, validate_sweep_overrides=False).hydra
    assert mode.mode in (None, RunMode.MULTIRUN)
    return hydra.load_configuration("train", [*words, add] if add else words, run_mode=RunMode.RUN, from_shell=True)


@pytest.mark.parametrize(
    "words",
    [[], ["experiment=tiny", "seed=3", "balance=pcgrad"], ["+extra=1", "hydra.run.dir=here", "hydra.verbose=true"]],
)
def test_a_run_is_composed_once_into_what_hydra_composes(hydras: Any, once: list[RunMode], words: list[str]) -> None:
    found = composed(words)
    assert once == [RunMode.RUN]
    expected = hydras(loader(), "train", [*words, AS_RUN], run_mode=RunMode.RUN)
    assert OmegaConf.to_container(found, resolve=False) == OmegaConf.to_container(expected, resolve=False)
    assert OmegaConf.is_struct(found)
    assert OmegaConf.is_readonly(found.hydra) == OmegaConf.is_readonly(expected.hydra)
    assert type(found.hydra.mode) is type(expected.hydra.mode)


def test_what_is_asked_for_again_is_composed_anew(once: list[RunMode]) -> None:
    hydra = loader()
    hydra.load_configuration("train", ["seed=1"], run_mode=RunMode.MULTIRUN, validate_sweep_overrides=False)
    one, other = (hydra.load_configuration("train", ["seed=1", AS_RUN], run_mode=RunMode.RUN) for _ in range(2))
    assert one is not other
    assert one == other
    assert len(once) == 2
    different = composed(["seed=1"], add="seed=2")
    assert different.seed == 2
    assert len(once) == 4


def test_sweeps_and_mistakes_are_composed_as_before(hydras: Any, once: list[RunMode]) -> None:
    study = loader().load_configuration(
        "train", ["study=focal_grid"], run_mode=RunMode.MULTIRUN, validate_sweep_overrides=False
    )
    assert study.hydra.mode is RunMode.MULTIRUN
    with pytest.raises(HydraException) as ours:
        composed(["seed=1,2"])
    with pytest.raises(HydraException) as expected:
        hydras(loader(), "train", ["seed=1,2"], run_mode=RunMode.RUN)
    assert str(ours.value) == str(expected.value)
    with pytest.raises(HydraException, match="no_such"):
        composed(["optimizer=no_such"])


def test_a_loader_without_the_method_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hydra_internals, "_reported", set())
    monkeypatch.setattr("hydra._internal.config_loader_impl.ConfigLoaderImpl", type("Newer", (), {}))
    compose_once()
    assert "differs in its loader of configurations" in caplog.text
