"""Pictures per second of the training pipeline with `light`, against what a user would write; the share of waiting.

Ours: the loader of training with its augmentation, on data held in memory, as `tandem-train` reads it; what decoding
costs, once, stands in a row of its own. The counterparts: the medmnist package's data set, and a data set that decodes
a folder with Pillow, each with torchvision's transforms of the same operations and a DataLoader, persistent, at the
best of 0, 1 and 2 workers; nothing that they start is counted. All of it runs on one thread a process, so ours has one
core and the counterparts one for each worker; that also keeps threads that wait for each other out of the figures.

Waiting for data is what an epoch of training spends on the next batch and its augmentation, as a share of the whole,
with a small U-Net. Real data where there is a folder of it (TANDEM_DATA, ../shared/data), else noise of the same sizes.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from tests.benchmarks.harness import Row, at_least, at_most, seconds
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import tv_tensors
from torchvision.transforms import v2

from tandem.data.augment import Augment
from tandem.data.busi import BUSI
from tandem.data.loading.loading import loader
from tandem.data.medmnist import MedMNIST
from tandem.data.samples import Samples

LIGHT: Mapping[str, Any] = {
    "horizontal_flip": 0.5,
    "rotate": 10.0,
    "scale": [0.9, 1.15],
    "shift": 0.05,
    "brightness": 0.08,
    "contrast": 0.15,
}
SMALL, LARGE = 64, 16
"""Rows in a batch of 28-pixel and of 128-pixel pictures."""

SIDE = 128

PICTURES = 1024
"""Of the 4708 of MedMNIST, so that the counterparts come to an end."""

WORKERS = (0, 1, 2)
REPEATS = 3

Epoch = Callable[[], object]


def rows() -> list[Row]:
    """Speeds of both pipelines, of decoding, and the share of waiting in two trainings."""
    data = Path(os.environ.get("TANDEM_DATA") or Path(__file__).parents[3] / "shared" / "data")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*medmnist_rows(data, folder), *busi_rows(data, folder)]


def medmnist_rows(data: Path, folder: Path) -> list[Row]:
    """PneumoniaMNIST at 28 pixels, without masks."""
    file = data / "pneumoniamnist_rebuilt.npz"
    kind = "PneumoniaMNIST" if file.is_file() else "noise like PneumoniaMNIST"
    copy = folder / "pneumoniamnist.npz"
    if file.is_file():
        shutil.copy(file, copy)
    else:
        rng = np.random.default_rng(0)
        sets = {"train": 4708, "val": 524, "test": 624}
        images = {f"{split}_images": rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for split, n in sets.items()}
        labels = {f"{split}_labels": np.arange(n, dtype=np.uint8)[:, None] % 2 for split, n in sets.items()}
        np.savez(copy, **images, **labels)  # type: ignore[arg-type]  # the stub mistakes a keyword
    samples = MedMNIST("pneumoniamnist", file=str(copy), verify=False).load()["train"]
    samples = samples.pick(torch.arange(PICTURES))
    from medmnist import PneumoniaMNIST

    whole = PneumoniaMNIST("train", transform=transforms(None), root=str(folder))
    peer = Subset(whole, range(PICTURES))
    return [
        compared(f"{kind}, 28 pixels, batches of {SMALL}", samples, SMALL, peer, "medmnist", 10),
        waiting(f"{kind}, 28 pixels, U-Net", samples, SMALL),
    ]


def busi_rows(data: Path, folder: Path) -> list[Row]:
    """BUSI at 128 pixels, with masks."""
    root, kind = data / "busi_256" / "Dataset_BUSI_with_GT", "BUSI"
    if not root.is_dir():
        root, kind = folder / "busi", "noise like BUSI"
        make_busi(root)
    start = time.perf_counter()
    samples = BUSI(str(root), size=SIDE, groups="none", cache=str(folder / "cache")).load()["train"]
    first = time.perf_counter() - start
    start = time.perf_counter()
    BUSI(str(root), size=SIDE, groups="none", cache=str(folder / "cache")).load()
    again = time.perf_counter() - start
    peer = Folder(root, set(samples.ids))
    return [
        compared(f"{kind}, 128 pixels with masks, batches of {LARGE}", samples, LARGE, peer, "Pillow", 5),
        waiting(f"{kind}, 128 pixels, U-Net", samples, LARGE),
        Row(f"{kind}, decoding all of it", f"{first:.3g} s once", f"from the cache {again:.3g} s", again / first),
    ]


def compared(what: str, samples: Samples, batch: int, peer: Dataset[Any], name: str, limit: float) -> Row:
    """Seconds of an epoch, as pictures per second."""
    made, augment = loader(samples, batch, 0, 0, train=True), Augment(**LIGHT)
    epochs: dict[str, Epoch] = {"ours": lambda: [augment(part) for part in made] and None}
    for workers in WORKERS:
        theirs = DataLoader(peer, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
        epochs[f"{name}, {workers} workers"] = lambda theirs=theirs: sum(len(part) for part in theirs)  # type: ignore[misc]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    taken = {key: 1e6 * value / len(samples) for key, value in seconds(epochs, REPEATS).items()}
    torch.set_num_threads(threads)
    ours = taken.pop("ours")
    best = min(taken, key=taken.__getitem__)
    speed = f"{what} ({1e6 / ours:,.0f} a second, {1e6 / taken[best]:,.0f})"
    return at_least(speed, ours, best, taken[best], limit, "us")


def waiting(what: str, samples: Samples, batch: int) -> Row:
    """The share of an epoch of training that goes by before the augmented batch is there."""
    torch.manual_seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, in_channels=1, encoder_depth=3, decoder_channels=(64, 32, 16))
    optimizer = torch.optim.AdamW(network.parameters())
    made, augment = loader(samples, batch, 0, 0, train=True), Augment(**LIGHT)
    waited, whole, before = [], [], time.perf_counter()
    for number, part in enumerate(map(augment, made)):
        arrived = time.perf_counter()
        pixels = part["image"]
        if pixels.shape[-1] % 8:
            pixels = F.pad(pixels, (2, 2, 2, 2))
        target = F.interpolate(part["mask"].float(), pixels.shape[2:]) if "mask" in part else (pixels > 0.5).float()
        F.binary_cross_entropy_with_logits(network(pixels), target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        waited.append(arrived - before)
        whole.append(time.perf_counter() - before)
        before = time.perf_counter()
        if number == 30:
            break
    wait, step = (1000 * float(np.median(times[1:])) for times in (waited, whole))
    return at_most(f"{what}: waiting for data", wait, {"step": step}, 0.05)


def transforms(size: int | None) -> v2.Compose:
    """Torchvision's transforms that do what `light` does, for a picture or a picture and its mask."""
    moved = v2.RandomAffine(
        LIGHT["rotate"],
        translate=(LIGHT["shift"], LIGHT["shift"]),
        scale=tuple(LIGHT["scale"]),
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    steps = [
        v2.ToImage(),
        *([v2.Resize((size, size))] if size else []),
        v2.RandomHorizontalFlip(LIGHT["horizontal_flip"]),
        moved,
        v2.ColorJitter(brightness=LIGHT["brightness"], contrast=LIGHT["contrast"]),
        v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
    ]
    return v2.Compose(steps)


class Folder(Dataset[Any]):
    """What a user writes for BUSI: decodes a picture and its mask whenever they are asked for."""

    def __init__(self, root: Path, names: set[str]) -> None:
        self.classes = sorted(path.name for path in root.iterdir())
        self.files = [path for path in sorted(root.glob("*/*.png")) if path.stem in names]
        self.transforms = transforms(SIDE)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Any:
        path = self.files[row]
        with Image.open(path) as image, Image.open(path.with_name(f"{path.stem}_mask.png")) as mask:
            pair = v2.functional.to_image(image.convert("L")), tv_tensors.Mask(np.array(mask, dtype=np.uint8))
        picture, marked = self.transforms(*pair)
        return picture, marked, self.classes.index(path.parent.name)


def make_busi(root: Path) -> None:
    """546 pictures of noise, in BUSI's layout and sizes."""
    rng = np.random.default_rng(0)
    for number in range(780):
        name = ("benign", "malignant", "normal")[number % 3]
        (root / name).mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(rng.integers(0, 256, (64, 76), dtype=np.uint8)).resize((305, 256))
        noise.save(root / name / f"{name} ({number}).png")
        mask = np.zeros((256, 305), dtype=bool)
        mask[80:140, 90:170] = name != "normal"
        Image.fromarray(mask).save(root / name / f"{name} ({number})_mask.png")
