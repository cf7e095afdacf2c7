"""Data sets that are written as shards."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tandem.data.datamodule import DataModule
from tandem.data.samples import SPLITS, Samples
from tandem.data.targets import Targets


class Everything:
    """A source with each kind of target, all of which some rows lack, in 16 bits."""

    name = "everything"
    classes = ("a", "b", "c")
    channels = 2
    targets = Targets(mask_channels=(), mask_classes=("none", "x", "y"), findings=("f", "g"), columns=("age", "mm"))
    levels = ((100.0, 60_000.0),)

    def load(self) -> Mapping[str, Samples]:
        return {split: self.split(split, count) for split, count in zip(SPLITS, (23, 9, 7), strict=True)}

    def split(self, split: str, count: int) -> Samples:
        rng = np.random.default_rng([count, 7])
        labels = torch.arange(count) % 3
        labels[4::5] = -100
        masks = torch.from_numpy(rng.integers(0, 3, (count, 1, 12, 12), dtype=np.uint8))
        masks[3::4] = 255
        masks[1, 0, 0, 0] = 255
        age = torch.from_numpy(rng.normal(size=count).astype(np.float32))
        age[2] = torch.nan
        return Samples(
            images=torch.from_numpy(rng.integers(0, 65_536, (count, 2, 12, 12), dtype=np.uint16)),
            labels=labels,
            masks=masks,
            ids=tuple(f"{split}/ä {row}" for row in range(count)),
            groups=tuple(f"{split} {row // 2}" for row in range(count)),
            findings=torch.from_numpy(rng.choice([0, 1, 255], (count, 2)).astype(np.uint8)),
            columns={"age": age, "mm": torch.arange(count, dtype=torch.float32)},
            levels=torch.tensor(self.levels).expand(count, 2).clone(),
            spacing=torch.full((count, 2), 0.25),
        )


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is noted outside of the test."""
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def everything() -> DataModule:
    """The data of `Everything`, read."""
    data = DataModule(Everything(), None, 4, 0, 0)
    data.setup()
    return data


@pytest.fixture(scope="session")
def written_once(everything: DataModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its shards, of five rows each."""
    from tandem.data.shards.write import write_shards

    root = tmp_path_factory.mktemp("written") / "shards"
    write_shards(everything, {}, root, 5 * 850 / 1e6)
    return root


@pytest.fixture
def written(written_once: Path, tmp_path: Path) -> Path:
    """A copy of the shards, which the test may change."""
    return Path(shutil.copytree(written_once, tmp_path / "shards"))


@pytest.fixture
def read() -> Callable[..., DataModule]:
    """Reads shards: `read(root, workers=0, **options)`."""
    from tandem.data.streamed import Streamed

    def made(root: Path, workers: int = 0, seed: int = 0, **options: object) -> DataModule:
        data = DataModule(Streamed(str(root), **{"size": 12, **options}), None, 4, workers, seed)  # type: ignore[arg-type]
        data.setup()
        return data

    return made
