"""Files that Hydra writes before a job is refused, or a sweep turns out to be empty, are put back."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from tandem.errors import ConfigError
from tandem.jobs.hydra_files import remember_job, remember_run, remember_sweep, remove_empty_sweep
from tandem.jobs.status import run_job

NOTHING = OmegaConf.create({})


def is_refused(config: DictConfig, folder: Path) -> float:
    raise ConfigError(f"{folder} holds a run with other values of seed")


def hydra(folder: Path, text: str) -> None:
    """Writes what Hydra writes."""
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "overrides.yaml"):
        (folder / ".hydra" / name).write_text(text)


@pytest.mark.parametrize("alone", [True, False])
def test_a_refused_job_leaves_hydras_files_of_the_other_run(alone: bool, tmp_path: Path) -> None:
    hydra(tmp_path, "seed: 0")
    (tmp_path / "results.json").write_text('{"config": {}}')
    (tmp_path / "status.json").write_text('{"state": "finished"}')
    if alone:
        remember_run(OmegaConf.create({"hydra": {"run": {"dir": str(tmp_path)}, "output_subdir": ".hydra"}}))
    else:
        remember_job(tmp_path, ".hydra")
    hydra(tmp_path, "seed: 7")
    (tmp_path / ".hydra" / "hydra.yaml").write_text("7")
    with pytest.raises(ConfigError):
        run_job(is_refused, NOTHING, tmp_path, ["seed=7"])
    left = {path.name: path.read_text() for path in (tmp_path / ".hydra").iterdir()}
    assert left == {"config.yaml": "seed: 0", "overrides.yaml": "seed: 0"}


def test_a_job_in_a_folder_of_its_own_keeps_its_files(tmp_path: Path) -> None:
    remember_job(tmp_path, ".hydra")
    hydra(tmp_path, "seed: 7")
    with pytest.raises(ConfigError):
        run_job(is_refused, NOTHING, tmp_path, ["seed=7"])
    assert (tmp_path / ".hydra" / "config.yaml").read_text() == "seed: 7"


@pytest.mark.parametrize("before", [None, "of an earlier sweep"])
def test_an_empty_sweep_leaves_no_file_of_its_own(before: str | None, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    folder = runs / "a" / "b"
    if before is not None:
        folder.mkdir(parents=True)
        (folder / "multirun.yaml").write_text(before)
    remember_sweep(OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}}))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "multirun.yaml").write_text("empty")
    remove_empty_sweep(folder, runs)
    if before is None:
        assert [path.name for path in tmp_path.iterdir()] == []
    else:
        assert (folder / "multirun.yaml").read_text() == before


def test_a_configuration_that_cannot_be_resolved_is_left_to_hydra(tmp_path: Path) -> None:
    config: Any = OmegaConf.create({"hydra": {"run": {"dir": "${nothing}"}, "output_subdir": ".hydra"}})
    remember_run(config)
