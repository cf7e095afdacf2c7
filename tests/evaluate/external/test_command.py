"""`scripts/evaluate.py data=...`: a finished run on another set."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score

from tandem.data.files.images import PLAIN, read_raster
from tandem.data.files.raster import fit
from tandem.data.phantom import Phantom
from tandem.errors import ConfigError, DataError
from tandem.evaluate import main
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.external.options import OtherData
from tandem.evaluate.external.source import read_set
from tandem.predict.predictor import load
from tandem.python.run import Run
from tandem.runs.restore import restore

CLASSES = ("normal", "Benign", "<i>malignant</i>")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms of another seed and size as files, with a table; classes have other names and another order."""
    root = tmp_path_factory.mktemp("site") / "Ulm"
    drawn = Phantom(size=48, train=1, val=1, test=18, seed=9).load()["test"]
    (root / "i").mkdir(parents=True)
    lines = ["image,mask,label,patient,scanner,age"]
    for row, (image, mask, label) in enumerate(zip(drawn.images, drawn.masks, drawn.labels.tolist(), strict=True)):
        Image.fromarray(image[0].numpy()).save(root / "i" / f"{row}.png")
        Image.fromarray(mask[0].numpy() * 255).save(root / "i" / f"{row}_mask.png")
        scanner = ("A", "<b>B</b>", "")[row % 3]
        lines.append(f"i/{row}.png,i/{row}_mask.png,{CLASSES[label]},p{row // 2},{scanner},{20 + 3 * row}")
    (root / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture
def node(site: Path) -> dict[str, Any]:
    """Options of that set."""
    columns = {"image": "image", "masks": "mask", "label": "label", "group": "patient"}
    return {
        "_target_": "tandem.data.folder.Folder", "root": str(site), "table": "table.csv", "columns": columns,
        "near_duplicates": False,
    }  # fmt: skip


OPTIONS: dict[str, Any] = {
    "split": None, "masks": False, "cases": 0, "samples": 20, "classes": {"Benign": "benign", CLASSES[2]: "malignant"},
}  # fmt: skip


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished run with five tasks."""
    return Path(shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation")))


def test_an_external_test_keeps_what_the_run_is(
    run: Path, node: dict[str, Any], asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    rows: Callable[[Path], list[dict[str, str]]],
) -> None:  # fmt: skip
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    found = evaluate_run(asked(run, data=node, site="<b>Ulm</b>", **OPTIONS))
    folder = run / "evaluation" / found["folder"]
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert [path.name for path in (run / "evaluation").iterdir()] == [folder.name]
    assert found["images"] == 18
    assert found["thresholds"] == found["stored_thresholds"]
    assert found["bootstrap"]["over"] == "9 groups of images"
    assert [look["times"] for look in found["looks"]] == [1], "looks at the internal test do not count"
    own = json.loads((run / "results.json").read_text())["metrics"]
    external = found["external"]
    assert (external["internal_images"], external["compared"], external["shared"]) == (24, True, 0)
    for key, entry in external["scores"].items():
        if own.get(key) is not None:
            assert entry["internal"][0] == pytest.approx(own[key], abs=1e-5), key
        assert entry["difference"][0] == pytest.approx(
            found["metrics"][key] - entry["internal"][0], abs=1e-5, nan_ok=True
        )
    lines = rows(folder)
    true = [line["classification.true"] for line in lines]
    assert found["metrics"]["test/classification/balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(true, [line["classification.predicted"] for line in lines]), abs=1e-6
    )
    page = (folder / "report.html").read_text()
    assert "<h1>tiny: external test on &lt;b&gt;Ulm&lt;/b&gt;</h1>" in page
    assert "External test on &lt;b&gt;Ulm&lt;/b&gt;: 18 images, none of them in tiny&#x27;s training." in page
    assert "Difference to the internal test (24 images): " in page
    assert "<b>Ulm" not in page
    assert "<h2>Against the internal test</h2>" in page


def test_the_preprocessing_is_that_of_training(
    copied: Path, node: dict[str, Any], site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    run = restore(copied)
    found = read_set(run, OtherData({**node, "size": 64, "channels": 3}, None, {}))
    assert found.samples.ids == tuple(f"i/{row}" for row in range(18)), "all of them, in the order of the table"
    assert found.samples.groups[:3] == ("i/0", "i/0", "i/2") or found.samples.groups[:3] == ("p0", "p0", "p1")
    for row in (0, 17):
        expected = fit(read_raster(site / "i" / f"{row}.png", PLAIN), 32, 1)
        assert np.array_equal(found.samples.images[row].numpy(), expected)
    with pytest.raises(ConfigError, match=r"data.size is 64, but images are prepared as in the run's training"):
        read_set(run, OtherData({**node, "size": 64}, None, {}, typed=("data.size",)))


def test_images_of_more_than_8_bits_get_black_and_white_of_training(
    copied: Path, site: Path, node: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "deep").mkdir()
    for row in range(3):
        pixels = np.random.default_rng(row).integers(0, 4000, (40, 40)).astype(np.uint16)
        Image.fromarray(pixels).save(tmp_path / "deep" / f"{row}.png")
    deep = OtherData({**node, "root": str(tmp_path / "deep"), "table": None, "images": "{id}", "masks": None}, None, {})
    run = restore(copied)
    known = read_set(replace(run, levels=((100.0, 900.0),)), deep)
    assert known.samples.levels is not None
    assert known.samples.levels.tolist() == [[100.0, 900.0]] * 3
    unknown = read_set(run, deep)
    assert unknown.samples.levels is not None
    assert unknown.samples.levels.tolist() == [[0.0, 65535.0]] * 3
    assert "3 images have more than 8 bits, but the training images had 8" in unknown.remarks[0]
    with pytest.raises(DataError, match=r"no black and white of its own \(\[0,9\], \[1,9\]\)"):
        read_set(replace(run, levels=((0.0, 9.0), (1.0, 9.0))), deep)


def test_phantoms_of_training_are_refused_or_left_out(copied: Path, asked: Callable[..., Any]) -> None:
    options = {"split": None, "masks": False, "page": False, "cases": 0, "samples": 10}
    phantom = {"_target_": "tandem.data.phantom.Phantom", "train": 24, "val": 24, "test": 30, "seed": 3}
    with pytest.raises(DataError, match=r"48 of 78 images of phantom equal.*overlap=drop"):
        evaluate_run(asked(copied, data=phantom, **options))
    assert not (copied / "evaluation").exists(), "nothing half-written"
    found = evaluate_run(asked(copied, data=phantom, overlap="drop", **options))
    assert found["images"] == 30
    assert "24 images are also in the run's own test split" in found["warnings"][1]
    test = evaluate_run(asked(copied, data={**phantom, "seed": 4}, **{**options, "split": "test"}))
    assert test["images"] == 30
    assert test["folder"].startswith("external-phantom-test-")


@pytest.mark.full
def test_tasks_without_targets_are_left_out(
    run: Path, node: dict[str, Any], asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    options = {**OPTIONS, "page": False, "cases": 0}
    no_masks = {**node, "columns": {**node["columns"], "masks": None}}
    found = evaluate_run(asked(run, data=no_masks, **options))
    assert "tasks regression and segmentation: no image of Ulm has a target, so left out" in found["warnings"]
    assert not [key for key in found["metrics"] if key.startswith("test/segmentation")]
    neither = {**no_masks, "columns": {"image": "image", "label": None, "masks": None}}
    with pytest.raises(DataError, match="no image of Ulm has a target of a task"):
        evaluate_run(asked(run, data=neither, **{**options, "classes": None}))


@pytest.mark.full
def test_a_run_whose_own_data_are_gone_is_tested_without_the_comparison(
    copied: Path, asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise DataError("data.root='gone' is not a folder")

    monkeypatch.setattr("tandem.evaluate.external.prepare.read_data", gone)
    options = {"split": None, "masks": False, "cases": 0, "samples": 10}
    phantom = {"_target_": "tandem.data.phantom.Phantom", "train": 1, "val": 1, "test": 9, "seed": 5}
    found: Mapping[str, Any] = evaluate_run(asked(copied, data=phantom, **options))
    assert found["external"]["scores"] == {}
    assert "not compared with the run's own data, which cannot be read here (data.root='gone'" in found["warnings"][0]
    page = (copied / "evaluation" / found["folder"] / "report.html").read_text()
    assert "External test on phantom: 11 images." in page
    assert "none of them" not in page


@pytest.mark.full
def test_dice_of_the_files_is_that_of_predicted_masks(
    copied: Path, site: Path, node: dict[str, Any], asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, rows: Callable[[Path], list[dict[str, str]]],
) -> None:  # fmt: skip
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    options = {**OPTIONS, "classes": None, "page": False, "samples": 10}
    data = {**node, "columns": {"image": "image", "masks": "mask"}}
    settings = asked(copied, data=data, native=True, **options)
    found = evaluate_run(settings)["metrics"]
    dice = []
    for row in rows(settings.folder):
        (prediction,) = load(copied, device="cpu").predict(site / f"{row['id']}.png")
        with Image.open(site / f"{row['id']}_mask.png") as file:
            truth = np.asarray(file) > 127
        drawn = prediction["segmentation"].mask[0]
        assert drawn.shape == truth.shape == (48, 48)
        counts = [int(row[f"segmentation.{key}_native"]) for key in ("area_true", "area_predicted", "intersection")]
        assert counts == [truth.sum(), drawn.sum(), (truth & drawn).sum()]
        if truth.any():
            dice.append(2 * counts[2] / (counts[0] + counts[1]))
    assert found["test/segmentation/dice_lesion_native"] == pytest.approx(np.mean(dice))


def test_from_python(copied: Path) -> None:
    phantom = {"_target_": "tandem.data.phantom.Phantom", "train": 1, "val": 1, "test": 9, "seed": 5}
    found = Run(copied).evaluate(None, data=phantom, by=["class"], masks=False, page=False, samples=10)
    assert found["images"] == 11
    assert found["groups"][0]["column"] == "class"


def test_the_command_as_it_is_typed(
    in_process: Callable[[Callable[[], None]], Callable[..., Any]], copied: Path, site: Path
) -> None:
    evaluate = in_process(main)
    words = [f"run={copied}", "data=folder", f"data.root={site}", "data.table=table.csv", "samples=10"]
    fast = ["cases=0", "masks=false", "page=false"]
    done = evaluate(*words, *fast)
    assert (done.code, done.err) == (0, "")
    assert "tiny: external test on Ulm, 18 images" in done.out
    assert "Difference to the internal test (24 images): Dice of segmentation" in done.out
    assert f"{next((copied / 'evaluation').glob('external-Ulm-*'))}/metrics.json\n" in done.out
    assert "data.size is 64, but images are prepared as in the run's training" in evaluate(*words, "data.size=64").error
    assert "data lacks 'root'; give data.root" in evaluate(f"run={copied}", "data=folder").error
    assert "no option 'fodler'" in evaluate(f"run={copied}", "data=fodler").error
