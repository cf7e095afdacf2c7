"""Real data, where it is at hand, and a tiny data set in the layout of BUSI."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: `$TANDEM_DATA`, else `../shared/data` beside the repository."""
    folder = Path(os.environ.get("TANDEM_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder} is not a folder; set TANDEM_DATA")
    return folder


@pytest.fixture(scope="session")
def real_busi(shared_data: Path) -> Path:
    """The folder with the BUSI data set and its lists."""
    folder = shared_data / "busi_256"
    if not folder.is_dir():
        pytest.skip(f"the BUSI data set is absent: {folder} is not a folder; set TANDEM_DATA")
    return folder


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
    """Makes a tree with so many pictures per class; `benign (1)` has two masks."""

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
