"""Every source trains and is evaluated end to end on a small copy of its files."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.datamodule import DataModule
from tandem.data.phantom import Phantom
from tandem.data.samples import SPLITS
from tandem.data.shards.write import write_shards
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import read_settings
from tandem.train.run import train
from tandem.utils.files import read_json

TINY = (
    "experiment=tiny",
    "logger=none",
    "trainer.enable_progress_bar=false",
    "callbacks.panels.count=1",
    "callbacks.collapse=null",
)
BOTH = {"classification", "segmentation"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them takes longer than all else here; tests/reports and tests/evaluate look at them."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, file, **__: file.write(b""))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Trains one tiny epoch, evaluates it on the test data, which must give the same numbers, and gives the results."""

    def make(*overrides: str) -> dict[str, Any]:
        register()
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            config = compose("train", [*TINY, *overrides])
            asked = compose("evaluate", [f"run={tmp_path / 'run'}", "cases=1", "samples=10", "masks=false"])
        folder = tmp_path / "run"
        results = train(resolve(config), folder)
        evaluate_run(read_settings(resolve(asked)))
        compare(read_json(folder / "results.json"), read_json(folder / "evaluation" / "test" / "metrics.json"))
        return results

    return make


def compare(results: Mapping[str, Any], evaluation: Mapping[str, Any]) -> None:
    """An evaluation at the stored thresholds gives the numbers of training, and none where nothing is to be counted."""
    own, again = results["metrics"], evaluation["metrics"]
    assert evaluation["thresholds"] == results["thresholds"]
    assert evaluation["warnings"] == []
    counted = {key for key in own if key.startswith("test/")} - {"test/loss"}  # of all tasks together
    assert counted
    for key in counted:
        assert again[key] == (own[key] if own[key] is None else pytest.approx(own[key], rel=1e-6, abs=1e-7)), key
    assert {key.split("/")[1] for key in again} - {"loss"} == {key.split("/")[1] for key in counted}
    assert all(value is None or np.isfinite(value) for value in again.values())


def answered(results: dict[str, Any]) -> set[str]:
    """The tasks of which something is known on the test split."""
    return {key.split("/")[1] for key in results["metrics"] if key.startswith("test/")} - {"loss"}


def test_class_folders_with_some_masks(run: Any, trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 10, masked=lambda number: number % 2 == 0)
    results = run("data=folder", f"data.root={root}", "data.name=mine")
    assert answered(results) == BOTH
    assert results["data"]["name"] == "mine"
    assert "data: mine;" in (tmp_path / "run" / "report.html").read_text()


def test_shards_of_another_source(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="the extra streamed is not installed")
    source = Phantom(size=32, train=24, val=12, test=12, seed=3, without_mask=0.3, without_label=0.3)
    data = DataModule(source, None, 4, 0, 0)
    data.setup()
    write_shards(data, {}, tmp_path / "shards", 0.01)
    results = run("data=streamed", f"data.root={tmp_path / 'shards'}", "loader.sampling=balanced")
    assert answered(results) == BOTH
    assert results["data"]["name"] == "phantom"


def test_a_table(run: Any, trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 24, patient=lambda number: f"p{number // 2}")
    results = run("data=folder", f"data.root={root}", "data.table=table.csv", "data.columns.group=patient")
    assert answered(results) == BOTH


def test_numbers_of_a_table(run: Any, trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 20, age=lambda number: "" if number % 3 == 0 else 40 + number)
    said = ("data.columns.numbers=[age]", "data.columns.masks=null", "tasks.number.column=age")
    results = run("data=folder", f"data.root={root}", "data.table=table.csv", "task=number", *said)
    assert answered(results) == {"number"}
    assert np.isfinite(results["metrics"]["test/number/mae"])


def test_findings_of_a_table(run: Any, trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 20, cyst=lambda n: n % 2, mass=lambda n: "" if n < 15 else n // 2 % 2)
    said = ("data.columns.findings=[cyst,mass]", "data.columns.masks=null", "data.columns.label=null")
    results = run("data=folder", f"data.root={root}", "data.table=table.csv", "task=multilabel", *said)
    assert answered(results) == {"multilabel"}


def test_two_mask_channels(run: Any, trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 10)
    for path in sorted(root.glob("*/*[02468].png")):
        Image.fromarray(trees.box()).save(path.with_name(f"{path.stem}_hair.png"))
    results = run(
        "data=folder", f"data.root={root}", "data.masks={lesion: '{class}/{id}_mask', hair: '{class}/{id}_hair'}"
    )
    assert {"test/segmentation/lesion/dice", "test/segmentation/hair/dice"} <= results["metrics"].keys()
    assert len(results["thresholds"]["segmentation"]) == 2


def test_masks_of_classes(run: Any, trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 8)
    for path in sorted(root.glob("*/*_mask.png")):
        mask = trees.box(100)
        mask[4:8, 6:10], mask[0] = 200, 50
        Image.fromarray(mask).save(path)
    values = "data.mask_values={100: liver, 200: spleen, 50: ignore}"
    results = run("data=folder", f"data.root={root}", values, "task=semantic")
    for name in ("dice", "iou", "dice_of/background", "dice_of/liver", "iou_of/spleen"):
        assert 0 <= results["metrics"][f"test/semantic/{name}"] <= 1


@pytest.mark.parametrize("preset", ["ph2", "isic2018"])
def test_presets_of_dermoscopy(run: Any, trees: Any, tmp_path: Path, preset: str) -> None:
    for number in range(12):
        name = f"IMD{number:03d}"
        image, mask = {
            "ph2": (f"{name}/{name}_Dermoscopic_Image/{name}.bmp", f"{name}/{name}_lesion/{name}_lesion.bmp"),
            "isic2018": (
                f"ISIC2018_Task1-2_Training_Input/{name}.jpg",
                f"ISIC2018_Task1_Training_GroundTruth/{name}_segmentation.png",
            ),
        }[preset]
        trees.save(tmp_path / "mine" / image, trees.noise(number, (20, 24, 3)))
        trees.save(tmp_path / "mine" / mask, trees.box())
    results = run(f"data={preset}", f"data.root={tmp_path / 'mine'}", "task=segmentation")
    assert answered(results) == {"segmentation"}


@pytest.mark.full
def test_oxford_pet(run: Any, trees: Any, tmp_path: Path) -> None:
    results = run("data=oxford_pet", f"data.root={trees.pets(tmp_path)}")
    assert answered(results) == BOTH
    assert "test/classification/recall/basset hound" in results["metrics"]


def test_coco(run: Any, trees: Any, tmp_path: Path) -> None:
    root, file = trees.coco(tmp_path / "mine"), "annotations/instances.json"
    results = run("data=coco", f"data.root={root}", f"data.annotations={file}", "task=segmentation")
    assert answered(results) == {"segmentation"}


@pytest.mark.full
def test_what_a_reader_has_to_know_about_the_data_is_kept(run: Any, trees: Any, tmp_path: Path) -> None:
    columns = {
        "label": lambda n: "NA" if n == 8 else trees.classes[n % 2],
        "fold": lambda n: SPLITS[(n >= 12) + (n >= 16)],
    }
    root = trees.table(tmp_path / "mine", 20, name=lambda n: f"r{n}", **columns)
    shutil.copy(root / "images" / "p1.png", root / "images" / "p19.png")
    (root / "scan.xcf").write_bytes(b"x")
    results = run(
        "data=folder", f"data.root={root}", "data.table=table.csv", "data.columns.split=fold", "data.allow_overlap=true"
    )
    assert results["data"]["overlap"] == 1
    known = read_json(tmp_path / "run" / "data.json")
    assert known["missing"] == {"label": {"NA": 1}}
    assert known["unused"] == [
        {"ending": ".xcf", "reason": "images in a format that is not read", "count": 1, "first": ["scan.xcf"]}
    ]
    pair = {"reason": "content", "one": "images/p1", "other": "images/p19", "splits": ["train", "test"], "group": ""}
    assert known["overlap"] == [pair]
    assert "different splits: 1, see data.json" in (tmp_path / "run" / "report.html").read_text()


SETS: Sequence[tuple[str, dict[str, int], tuple[str, ...], set[str]]] = [
    ("breastmnist", {}, ("task=classification",), {"classification"}),
    ("dermamnist", {"channels": 3, "classes": 7}, ("data.masks=otsu_dark",), BOTH),
    ("chestmnist", {"labels": 14}, ("task=multilabel",), {"multilabel"}),
    ("retinamnist", {"channels": 3, "classes": 5}, ("task=column", "tasks.column.column=grade"), {"column"}),
]


@pytest.mark.parametrize(("flag", "shape", "said", "tasks"), SETS, ids=[entry[0] for entry in SETS])
def test_medmnist(
    run: Any, trees: Any, tmp_path: Path, flag: str, shape: dict[str, int], said: tuple[str, ...], tasks: set[str]
) -> None:
    file = trees.medmnist(tmp_path / "set.npz", **shape)
    results = run("data=medmnist", f"data.flag={flag}", "data.size=28", f"data.file={file}", "data.verify=false", *said)
    assert answered(results) == tasks
    weak = any("otsu" in word for word in said)
    assert ("weak" in results["data"]["name"]) == weak
    assert bool(re.search("weak(?!est)", (tmp_path / "run" / "report.html").read_text())) == weak


def test_mixed_sources_share_what_they_have(run: Any, trees: Any, tmp_path: Path) -> None:
    images = trees.folders(tmp_path / "classes", 10, masked=lambda number: False)
    masks = tmp_path / "masks"
    for number in range(12):
        trees.save(masks / f"m{number}.png", trees.noise(500 + number))
        trees.save(masks / f"m{number}_mask.png", trees.box())
    results = run(
        "data=mixed",
        "data@data.sources.first=folder",
        f"data.sources.first.root={images}",
        "data@data.sources.second=folder",
        f"data.sources.second.root={masks}",
        "data.sources.second.images='{id}'",
        "data.sources.second.masks='{id}_mask'",
        "data.shares={first: 1, second: 3}",
    )
    assert answered(results) == BOTH
    splits = (tmp_path / "run" / "splits.csv").read_text()
    assert "first/benign/a1," in splits
    assert "second/m3," in splits


def test_skipped_rows_are_listed_beside_the_results(run: Any, trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 10)
    (root / "benign" / "a3.png").write_bytes(b"")
    results = run("data=folder", f"data.root={root}", "data.on_error=skip", "task=segmentation")
    assert results["data"]["skipped"] == 1
    assert "a3.png" in (tmp_path / "run" / "skipped.txt").read_text()


@pytest.mark.parametrize(("column", "missing"), [("mask", "segmentation"), ("label", "classification")])
def test_splits_without_any_target_of_a_task_have_no_metric_of_it(
    run: Any, trees: Any, tmp_path: Path, column: str, missing: str
) -> None:
    """The metric is absent, not 0."""

    def split(number: int) -> str:
        return "train" if number < 12 else "val" if number < 18 else "test"

    whole: dict[str, Callable[[int], str]] = {"mask": lambda n: f"masks/p{n}.png", "label": lambda n: f"class{n % 2}"}
    given = {column: lambda n: whole[column](n) if split(n) == "train" else ""}
    root = trees.table(tmp_path / "mine", 24, split=split, **given)
    (left,) = BOTH - {missing}
    monitor = {"classification": "balanced_accuracy", "segmentation": "dice"}[left]
    results = run(
        "data=folder", f"data.root={root}", "data.table=table.csv", "data.columns.split=split",
        f"monitor=val/{left}/{monitor}",
    )  # fmt: skip
    assert answered(results) == {left}
    assert not [key for key in results["metrics"] if missing in key]
    page = (tmp_path / "run" / "evaluation" / "test" / "report.html").read_text()
    assert "No image of this split has a" in page


def test_busi_in_small(run: Any, busi_tree: Callable[[int], Path]) -> None:
    said = ("data.groups=none", "data.fractions={train: 0.5, val: 0.25, test: 0.25}")
    assert answered(run("data=busi", f"data.root={busi_tree(8)}", *said)) == BOTH


@pytest.mark.full
def test_the_stand_in_for_dermamnist(run: Any, tmp_path: Path) -> None:
    results = run("data=dermamnist", "data.stand_in=true", "data.share=0.01", "data.size=28", "task=classification")
    assert answered(results) == {"classification"}
    assert "stand-in" in results["data"]["name"]
    assert "stand-in" in (tmp_path / "run" / "evaluation" / "test" / "report.html").read_text()


@pytest.mark.full
def test_real_pneumonia_images(run: Any, shared_data: Path) -> None:
    file = shared_data / "pneumoniamnist_rebuilt.npz"
    if not file.is_file():
        pytest.skip(f"{file.name} is absent; set TANDEM_DATA")
    results = run(
        "data=medmnist", "data.flag=pneumoniamnist", f"data.file={file}", "data.verify=false", "data.size=28",
        "task=classification", "+trainer.limit_train_batches=20", "loader.batch_size=64",
    )  # fmt: skip
    assert results["metrics"]["val/classification/auroc"] > 0.6


@pytest.mark.full
def test_real_busi_by_folds(run: Any, real_busi: Path, tmp_path: Path) -> None:
    """A subset of the real images, so that it is quick; the whole set is read by the tests of its source."""
    subset = tmp_path / "subset.csv"
    lines = [f"{name};{number}" for name in ("normal", "benign", "malignant") for number in range(1, 13)]
    subset.write_text("\n".join(["class;id", *lines]) + "\n")
    results = run("data=busi", f"data.root={real_busi}", f"data.subset={subset}", "data.folds=3", "data.fold=1")
    assert answered(results) == BOTH
    rows = (tmp_path / "run" / "splits.csv").read_text().splitlines()[1:]
    assert {line.split(",")[1] for line in rows} == set(SPLITS)
    assert torch.isfinite(torch.tensor(results["metrics"]["test/segmentation/dice"]))
