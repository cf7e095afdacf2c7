"""The command line inside and outside this process, and data small enough to check by eye."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tandem.data.samples import SPLITS, Samples

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr, which must be an error; fails where there is more, or a traceback anywhere."""
        assert "Traceback" not in self.out + self.err
        assert "error:" not in self.out
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")


Command = Callable[..., Outcome]


@pytest.fixture
def tandem_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """`tandem-train` in this process and in `tmp_path`: no second start of Python, torch and Lightning."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from tandem.train import main

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str) -> Outcome:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["tandem-train", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
        GlobalHydra.instance().clear()
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        finally:
            for handler in root.handlers:
                if handler not in handlers:
                    handler.close()
            root.handlers[:] = handlers
            root.setLevel(level)
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`python scripts/train.py` in a process of its own and in `tmp_path`, with one thread and no model hub."""

    def run(*arguments: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, str(REPOSITORY / "scripts" / "train.py"), *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TANDEM_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


def make_samples(count: int, split: str = "train", size: tuple[int, int] = (8, 8), channels: int = 1) -> Samples:
    """Pictures of noise with the classes 0, 1, 2 in turn; row n's mask is a bar of n + 1 pixels, class 0 has none."""
    rng = np.random.default_rng([count, len(split)])
    labels = torch.arange(count) % 3
    masks = torch.zeros(count, 1, *size, dtype=torch.uint8)
    for row in range(count):
        masks[row, 0, 1, : (row + 1) % size[1] if labels[row] else 0] = 1
    images = torch.from_numpy(rng.integers(0, 256, (count, channels, *size), dtype=np.uint8))
    return Samples(images, labels, masks, tuple(f"{split}/{row}" for row in range(count)))


@pytest.fixture
def tiny_samples() -> Callable[..., Samples]:
    """Makes a split: `tiny_samples(count, split="train", size=(8, 8), channels=1)`."""
    return make_samples


class TinySource:
    """A `Source` of 13 + 6 + 5 pictures that counts how often it is read."""

    name = "tiny"
    classes = ("normal", "benign", "malignant")
    channels = 1

    def __init__(self, size: tuple[int, int] = (8, 8)) -> None:
        self.size = size
        self.reads = 0

    def load(self) -> Mapping[str, Samples]:
        self.reads += 1
        counts = zip(SPLITS, (13, 6, 5), strict=True)
        return {split: make_samples(count, split, self.size) for split, count in counts}


@pytest.fixture
def tiny_source() -> TinySource:
    """A fresh source of 13 + 6 + 5 pictures of 8 x 8."""
    return TinySource()


def save_noise(path: Path, seed: int) -> None:
    """Saves RGB noise whose size and pixels follow from the seed."""
    rng = np.random.default_rng(seed)
    width, height = rng.integers(24, 48, 2)
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


def save_box(path: Path, picture: Path, box: tuple[int, int, int, int] | None) -> None:
    """Saves a 1-bit mask of a picture's size with one box (left, top, right, bottom), or empty."""
    with Image.open(picture) as image:
        mask = Image.new("1", image.size)
    if box:
        mask.paste(1, box)
    mask.save(path)


@pytest.fixture
def busi_tree(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a tree in BUSI's layout with so many pictures per class; `benign (1)` has two masks."""

    def make(count: int = 8) -> Path:
        root = tmp_path / "Dataset_BUSI_with_GT"
        for label, name in enumerate(("normal", "benign", "malignant")):
            (root / name).mkdir(parents=True)
            for number in range(1, count + 1):
                picture = root / name / f"{name} ({number}).png"
                save_noise(picture, seed=1000 * label + number)
                box = None if name == "normal" else (2, 2, 12, 8)
                save_box(picture.with_name(f"{name} ({number})_mask.png"), picture, box)
        first = root / "benign" / "benign (1).png"
        save_box(first.with_name("benign (1)_mask_1.png"), first, (10, 4, 20, 14))
        return root

    return make
