"""The command line inside and outside this process, and data small enough to check by eye."""

import json
import logging
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from tandem.config.shipped import take_launchers
from tandem.data.samples import SPLITS, Samples

if TYPE_CHECKING:
    from playwright.sync_api import Page

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


@pytest.fixture(scope="session", autouse=True)
def launchers() -> None:
    """As every command does it: without, Hydra warns that two launchers share a name."""
    take_launchers()


@pytest.fixture(autouse=True)
def no_own_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """What whoever runs the tests has set for themselves stays out of them."""
    monkeypatch.setenv("TANDEM_LOCAL", "")
    monkeypatch.delenv("TANDEM_DATA", raising=False)


@pytest.fixture
def tandem_train(in_process: Callable[[Callable[[], None]], Command]) -> Command:
    """`tandem-train` in this process and in `tmp_path`: no second start of Python, torch and Lightning."""
    from tandem.train.run import main

    return in_process(main)


@pytest.fixture
def in_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Callable[[], None]], Command]:
    """Makes a command of an entry point that runs under Hydra: `in_process(main)("key=value", ...)`."""
    return lambda main: _in_process(main, monkeypatch, tmp_path, capsys)


def _in_process(
    main: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

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
            logging.disable(logging.NOTSET)  # a rank above 0 says nothing
            os.environ.pop("TANDEM_SWEEP", None)  # a sweep that was refused leaves its identity to its process
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


LOOK = """() => {
  const parts = colour => colour.match(/[0-9.]+/g).slice(0, 3).map(part => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const light = colour => { const [r, g, b] = parts(colour); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const faults = [], page = getComputedStyle(document.body).backgroundColor;
  if (document.documentElement.scrollWidth > innerWidth) {
    const out = one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll");
    const wide = [...document.querySelectorAll("body *")].filter(out).map(one => one.tagName + "." + one.className);
    faults.push("wider than the window: " + wide.slice(0, 5).join(" "));
  }
  const pairs = [["body", "body"], ["p.note", "body"], ["p.answer", "p.answer"], ["li", "ul.warnings"]];
  for (const [name, behind] of pairs) {
    const text = document.querySelector(name), ground = document.querySelector(behind);
    if (!text || !ground) continue;
    const [a, b] = [light(getComputedStyle(text).color), light(getComputedStyle(ground).backgroundColor)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push(`${name} has a contrast of ${contrast.toFixed(1)}`);
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  if ((light(page) < 0.2) !== dark) faults.push(`the page's background is ${page}`);
  const answer = document.querySelector("p.answer");
  if (!answer || answer.getBoundingClientRect().top + scrollY > 200) faults.push("no answer at the top");
  return faults;
}"""
"""Contrast: WCAG 2.2, success criterion 1.4.3, asks for 4.5."""


@dataclass(frozen=True)
class Opened:
    """A page in a browser, as playwright knows it, and what went wrong: errors of scripts, anything fetched."""

    page: "Page"
    errors: list[str]

    def badly_shown(self) -> list[str]:
        """Widths and modes in which something sticks out, text is hard to read, or the answer is not at the top."""
        found = []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            for width in (390, 820, 1280):
                self.page.set_viewport_size({"width": width, "height": 900})
                for _ in range(20):  # charts follow the window a moment later
                    if not (faults := self.page.evaluate(LOOK)):
                        break
                    self.page.wait_for_timeout(100)
                found += [f"{scheme}, {width} px: {fault}" for fault in faults]
        return found


@pytest.fixture
def browser_page() -> Iterator[Callable[[Path], Opened]]:
    """Opens an HTML file in chromium: `browser_page(path).errors`; skips the test where there is no chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:  # for one test alone: it keeps an event loop running
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])

        def open_page(path: Path) -> Opened:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            opened = Opened(page, [])
            page.on("console", lambda said: opened.errors.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: opened.errors.append(str(error)))
            page.on("request", lambda request: opened.errors.extend(_foreign(request.url, path)))
            page.goto(path.resolve().as_uri())
            return opened

        yield open_page
        browser.close()


def _foreign(url: str, path: Path) -> list[str]:
    """What a page that holds all it needs would not fetch."""
    own = url.split("#")[0] == path.resolve().as_uri() or url.startswith(("data:", "blob:"))
    return [] if own else [f"fetched {url}"]


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


class Trees:
    """Small data sets on disk, all of noise with a box as mask."""

    classes = ("benign", "malignant")

    @staticmethod
    def noise(seed: int, size: tuple[int, ...] = (20, 24)) -> npt.NDArray[np.uint8]:
        """Uint8 noise of any shape."""
        return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)

    @staticmethod
    def box(value: int = 255, size: tuple[int, int] = (20, 24)) -> npt.NDArray[np.uint8]:
        """(H, W) uint8 with a rectangle of one value."""
        mask = np.zeros(size, dtype=np.uint8)
        mask[4:15, 6:18] = value
        return mask

    @staticmethod
    def save(path: Path, array: npt.NDArray[Any]) -> Path:
        """Saves an array as a picture, with its folders."""
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
        return path

    def folders(self, root: Path, count: int = 8, masked: Callable[[int], bool] = lambda number: True) -> Path:
        """Class folders with `benign/a1.png`, and `benign/a1_mask.png` where `masked` says so."""
        for label, name in enumerate(self.classes):
            for number in range(count):
                self.save(root / name / f"a{number}.png", self.noise(100 * label + number))
                if masked(number):
                    self.save(root / name / f"a{number}_mask.png", self.box())
        return root

    def table(self, root: Path, count: int = 16, **columns: Callable[[int], Any]) -> Path:
        """`images/p0.png`, `masks/p0.png`, and `table.csv` with image, label, mask and others made from the number."""
        made: dict[str, Callable[[int], Any]] = {
            "image": lambda number: f"images/p{number}.png",
            "label": lambda number: self.classes[number % 2],
            "mask": lambda number: f"masks/p{number}.png",
            **columns,
        }
        for number in range(count):
            self.save(root / "images" / f"p{number}.png", self.noise(number))
            self.save(root / "masks" / f"p{number}.png", self.box())
        rows = [[str(make(number)) for make in made.values()] for number in range(count)]
        text = "\n".join(",".join(row) for row in [list(made), *rows])
        (root / "table.csv").write_text(f"{text}\n", encoding="utf-8")
        return root

    def medmnist(self, path: Path, channels: int = 1, classes: int = 2, labels: int = 1, size: int = 28) -> Path:
        """An `.npz` file with MedMNIST's keys: 24, 12 and 12 rows in which every class occurs."""
        arrays = {}
        for split, count in (("train", 24), ("val", 12), ("test", 12)):
            shape = (count, size, size) if channels == 1 else (count, size, size, channels)
            arrays[f"{split}_images"] = self.noise(len(split), shape)
            arrays[f"{split}_labels"] = ((np.arange(count)[:, None] + np.arange(labels)) % classes).astype(np.uint8)
        np.savez(path, **arrays)  # type: ignore[arg-type]  # the stub mistakes a keyword
        return path

    def nnunet(self, root: Path, count: int = 12) -> Path:
        """nnU-Net's layout: `imagesTr/case_0_0000.png`, `labelsTr/case_0.png`."""
        for number in range(count):
            self.save(root / "imagesTr" / f"case_{number}_0000.png", self.noise(number))
            self.save(root / "labelsTr" / f"case_{number}.png", (self.box() > 0).astype(np.uint8))
        return root

    def coco(self, root: Path, count: int = 16) -> Path:
        """COCO's layout: `images/x0.png` with a box, 8 by 8 pixels, in `annotations/instances.json`."""
        content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "lesion"}]}
        for number in range(count):
            self.save(root / "images" / f"x{number}.png", self.noise(number))
            content["images"].append({"id": number, "file_name": f"x{number}.png", "height": 20, "width": 24})
            outline = [[8, 4, 16, 4, 16, 12, 8, 12]]
            content["annotations"].append({"id": number, "image_id": number, "category_id": 1, "segmentation": outline})
        (root / "annotations").mkdir()
        (root / "annotations" / "instances.json").write_text(json.dumps(content), encoding="utf-8")
        return root

    def pets(self, root: Path, count: int = 12) -> Path:
        """Oxford-IIIT Pet in torchvision's layout: two breeds of cat and one of dog."""
        folder = root / "oxford-iiit-pet"
        lists: dict[str, list[str]] = {"trainval": [], "test": []}
        trimap = self.box(3)
        trimap[trimap == 0] = 2
        trimap[6:13, 8:16] = 1
        for breed, (name, species) in enumerate((("Abyssinian", 1), ("basset_hound", 2), ("Bengal", 1)), start=1):
            for number in range(count):
                stem = f"{name}_{number}"
                self.save(folder / "images" / f"{stem}.jpg", self.noise(100 * breed + number, (20, 24, 3)))
                self.save(folder / "annotations" / "trimaps" / f"{stem}.png", trimap)
                lists["test" if number % 3 == 0 else "trainval"].append(f"{stem} {breed} {species} {number}")
        for split, lines in lists.items():
            (folder / "annotations" / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return root


@pytest.fixture
def trees() -> Trees:
    """Makes small data sets: `trees.folders(root)`, `table`, `medmnist` and `pets`."""
    return Trees()


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Callable[..., pl.Trainer]]:
    """Makes a silent trainer on the CPU: `trainer(*callbacks, **options)`."""

    def made(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
        chosen = {"max_epochs": 1, "logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
        return pl.Trainer(
            **{**chosen, **options},
            accelerator="cpu",
            enable_model_summary=False,
            enable_progress_bar=False,
            deterministic=True,
            callbacks=list(callbacks),
            default_root_dir=tmp_path,
        )

    with warnings.catch_warnings():
        for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*smaller than the logging interval.*"):
            warnings.filterwarnings("ignore", message=message)
        yield made


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


@pytest.fixture
def trained(tandem_train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Training happens in this process, which saves the start of another one; what was typed is kept."""
    typed: list[Sequence[str]] = []

    def train(words: Sequence[str], threads: int | None = None) -> int:
        typed.append(words)
        more = ["trainer.enable_progress_bar=false", "callbacks.panels=null"]
        return int(tandem_train(*words, *more).code)

    monkeypatch.setattr("tandem.paper.launch.train", train)
    return typed
