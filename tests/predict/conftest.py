"""Small finished runs, trained once, and a folder of varied images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.train.run import train

SMALL = ["experiment=tiny", "data.train=12", "data.val=12", "data.test=12", "data.seed=3", "logger=none"]
SMALL += ["callbacks.panels=null", "trainer.enable_progress_bar=false"]

Runs = Callable[..., Path]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Trains a tiny run with some overrides; the same overrides again give the same run."""
    made: dict[tuple[str, ...], Path] = {}

    def make(*overrides: str) -> Path:
        if overrides not in made:
            register()
            with initialize_config_dir(str(config_folder()), version_base="1.3"):
                config = compose("train", overrides=[*SMALL, *overrides])
            folder = tmp_path_factory.mktemp("runs") / "run"
            folder.mkdir()
            train(resolve(config), folder)
            made[overrides] = folder
        return made[overrides]

    return make


@pytest.fixture(scope="session")
def other(runs: Runs) -> Path:
    """Another one, at 64 pixels."""
    return runs("seed=1", "data.size=64")


@pytest.fixture(scope="session")
def run(runs: Runs) -> Path:
    """A class and a mask, in grey, at 32 pixels."""
    return runs()


def blob(height: int, width: int, channels: int = 0, seed: int = 0) -> np.ndarray:
    """A dark disc on bright noise, uint8, (height, width) or (height, width, channels)."""
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows / height - 0.4) ** 2 + (columns / width - 0.6) ** 2) < 0.04
    shape = (height, width, channels) if channels else (height, width)
    noise = np.random.default_rng([seed, height, width]).integers(120, 255, shape)
    return np.where(inside[..., None] if channels else inside, noise // 4, noise).astype(np.uint8)


def tagged(orientation: int) -> Image.Exif:
    """An orientation tag."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


GOOD = (
    "=formula.png", "a/b/deep.png", "a/same.jpg", "a/same.png", "big.png", "cmyk.jpg", "colour.png", "deep.png",
    "grey.png", "new\nline, \"quoted\" 'ü'.png", "one.webp", "palette.gif", "small.bmp", "transparent.png",
    "turned.jpg", "unnamed",
)  # fmt: skip
BAD = ("a/text.txt", "animated.gif", "broken.png", "empty.tif", "pages.tif")


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `GOOD` and `BAD` files, and hidden ones."""
    root = tmp_path_factory.mktemp("images")
    (root / "a" / "b").mkdir(parents=True)
    (root / ".hidden").mkdir()
    colour, grey = Image.fromarray(blob(70, 50, 3)), Image.fromarray(blob(40, 90))
    for name in ("=formula.png", "a/b/deep.png", "grey.png", GOOD[9], ".hidden.png", ".hidden/x.png"):
        grey.save(root / name)
    for name in ("a/same.jpg", "a/same.png", "colour.png", "one.webp"):
        colour.save(root / name)
    Image.fromarray(blob(400, 300)).save(root / "big.png")
    Image.fromarray(blob(9, 13)).save(root / "small.bmp")
    Image.fromarray(blob(40, 60).astype(np.uint16) * 257).save(root / "deep.png")
    Image.fromarray(blob(40, 60, 4)).save(root / "transparent.png")
    colour.quantize(16).save(root / "palette.gif")
    colour.convert("CMYK").save(root / "cmyk.jpg")
    colour.save(root / "turned.jpg", exif=tagged(6), quality=95)
    colour.save(root / "unnamed", format="png")
    (root / "a" / "text.txt").write_text("no image")
    (root / "broken.png").write_bytes((root / "grey.png").read_bytes()[:500])
    (root / "empty.tif").touch()
    for name in ("animated.gif", "pages.tif"):
        colour.save(root / name, save_all=True, append_images=[Image.fromarray(blob(70, 50, 3, seed=1))])
    return root
