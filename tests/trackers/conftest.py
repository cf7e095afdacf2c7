"""A tiny run with every tracker."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.trackers.readers import READERS, Seen

from tandem.config.resolve import flatten, register, resolve
from tandem.config.shipped import config_folder
from tandem.utils.files import write_json

TINY = [
    *("experiment=tiny", "name=tracked", "scheduler=cosine", "network.backbone=small_cnn"),
    *("data.train=8", "data.val=12", "data.test=12", "data.seed=3", "callbacks.panels.count=2"),
    *("trainer.enable_progress_bar=false", "trainer.max_epochs=2"),
]


def composed(runs: Path, *overrides: str) -> tuple[dict[str, Any], Path]:
    """A resolved tiny configuration, and the folder that the command line would give it."""
    from hydra import compose, initialize_config_dir

    from tandem.config.identity import run_hash

    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = resolve(compose("train", [*TINY, f"runs={runs}", *overrides]))
    return config, runs / config["name"] / run_hash(config)


@pytest.fixture(scope="session")
def quiet_wandb() -> Iterator[None]:
    """No line of wandb's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_SILENT", "true")
        yield


TYPED = {"experiment": "tiny", "loss/binary@tasks.segmentation.loss": "dice_bce", "data.fractions": "{train: 0.5}"}
"""Synthetic overrides of the run."""


@dataclass(frozen=True)
class Tracked:
    """A finished run with every tracker."""

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]
    seen: dict[str, Seen]

    @property
    def settings(self) -> dict[str, Any]:
        """By dotted name."""
        typed = {f"overrides.{key}": value for key, value in TYPED.items()}
        return flatten({**self.config, "computed": self.results["computed"]}) | typed


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs for all tests, since a database takes a second to make."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def tracked(runs: Path, quiet_wandb: None) -> Tracked:
    """Two epochs with every tracker at once."""
    from tandem.train.run import train

    config, folder = composed(runs, f"logger=[{','.join(READERS)}]", "tasks.classification.loss.weight=balanced")
    words = [f"{key}={value}" for key, value in TYPED.items()]
    unimportant = ["~callbacks.early_stopping", "name=mine", "logger=csv", "callbacks.panels.every=3"]
    write_json(folder / "status.json", {"overrides": [*unimportant, *words]})  # as the command line does
    results = train(config, folder)
    return Tracked(folder, config, results, {name: read(folder) for name, read in READERS.items()})
