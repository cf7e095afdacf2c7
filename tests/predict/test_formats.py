"""Images of every format, depth and mode give the same answer in training, evaluation and prediction."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from tests.data.files.made import EVERY, write

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.data.folder import Folder
from tandem.data.samples import Samples
from tandem.errors import DataError
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import EvaluateSettings
from tandem.export.program import metadata
from tandem.predict.predictor import _alike, load
from tandem.runs.inference import Inference
from tandem.runs.restore import restore
from tandem.runs.views import View, open_any
from tandem.train.run import train


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def rows_of(splits: dict[str, Samples]) -> dict[str, torch.Tensor]:
    """What the network sees of each image."""
    return {
        name: samples.take([row])["image"][0] for samples in splits.values() for row, name in enumerate(samples.ids)
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", EVERY)
def test_training_and_prediction_see_the_same(tmp_path: Path, name: str, channels: int) -> None:
    paths = [write(name, tmp_path / "mine", f"a{seed}", seed) for seed in range(8)]
    source = Folder(str(tmp_path / "mine"), images="{id}", masks=None, size=16, channels=channels)
    trained = rows_of(source.load())
    again = Folder(str(tmp_path / "mine"), images="{id}", masks=None, size=16, channels=channels)  # from the cache
    evaluated = rows_of(again.load())
    assert source.levels == again.levels
    view = View(16, channels, source.levels, deep=bool(source.levels))
    for path in paths:
        predicted = _alike([view.of(open_any(path), path.name)])[0]
        predicted = predicted if predicted.is_floating_point() else predicted.float() / 255
        assert torch.equal(trained[path.stem], evaluated[path.stem])
        assert torch.equal(trained[path.stem], predicted)
    assert trained["a0"].max() - trained["a0"].min() > 0.3, "there is something to see"


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run on files of every format, and their folder."""
    root = tmp_path_factory.mktemp("every")
    for label, folder in enumerate(("mine/dark", "mine/light")):
        for number, name in enumerate(EVERY):
            path = write(name, root / folder, f"p{number:02d}", 100 * label + number)
            mask = Image.new("L", (24, 24))
            mask.paste(255, (6, 6, 18, 18))
            mask.save(path.with_name(f"{path.stem}_mask.gif"))
    register()
    asked = ["experiment=tiny", "data=folder", f"data.root={root}/mine", "data.size=16", f"data.cache={root}/cache"]
    asked += ["trainer.max_epochs=1", "logger=none", "callbacks.panels=null", "trainer.enable_progress_bar=false"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", overrides=asked)
    (root / "run").mkdir()
    train(resolve(config), root / "run")
    return root / "run", root / "mine"


def test_evaluation_and_prediction_agree_on_every_file(mixture: tuple[Path, Path]) -> None:
    run, folder = mixture
    options: dict[str, Any] = {"masks": False, "cases": 0, "page": False, "samples": 1, "seed": 0, "data": {}}
    evaluate_run(EvaluateSettings(run, "test", "stored", None, None, **options))
    with (run / "evaluation" / "test" / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 10
    answers = load(run).predict([next(folder.glob(f"{row['id']}.*")) for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        for name, found in answer["classification"].probabilities.items():
            assert found == pytest.approx(float(row[f"classification.probability.{name}"]), abs=1e-5)


def test_an_exported_module_takes_the_levels_of_deep_files(mixture: tuple[Path, Path]) -> None:
    run = restore(mixture[0])
    ((black, white),) = run.levels
    inference = Inference(run.module, run.levels)
    levels = torch.linspace(black - 5, white + 5, 32 * 32).reshape(1, 1, 32, 32)
    unit = ((levels - black) / (white - black)).clamp(0, 1)
    for found, expected in zip(inference(levels), Inference(run.module)(unit), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_checkpoint_and_the_results_hold_the_levels(mixture: tuple[Path, Path]) -> None:
    run = restore(mixture[0])
    assert run.results["data"]["levels"] == [list(pair) for pair in run.levels]
    described = json.loads(metadata(run, Inference(run.module, run.levels), any_size=True)["tandem.input"])
    assert described["type"].startswith("float32, the levels of image files")
    assert (described["black"], described["white"]) == run.levels[0]


def test_several_pairs_of_levels_need_a_choice(tmp_path: Path) -> None:
    deep = open_any(write("png grey 16", tmp_path, "a", 0))
    with pytest.raises(DataError, match=r"different levels of black and white \(\[0,10\], \[0,20\]\): choose one with"):
        View(16, 1, ((0.0, 10.0), (0.0, 20.0)), deep=True).of(deep, "a.png")


@pytest.mark.parametrize("name", ["tiff float", "tiff int16"])
def test_levels_that_a_run_cannot_know_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"the run holds no levels of black and white: set them with data\.grey_range="):
        View(16, 1).of(open_any(write(name, tmp_path, "a", 0)), "a.tif")


def test_a_deep_file_is_remarked_upon_where_no_levels_are_known(tmp_path: Path) -> None:
    deep = open_any(write("png grey 16", tmp_path, "a", 0))
    assert "the run holds no levels of black and white: 0 is read as black" in View(16, 1).remarks(deep)["deep"]
    assert View(16, 1, deep=True).remarks(deep) == {}


def test_a_run_from_before_levels_were_kept_is_not_evaluated_on_deep_images(
    mixture: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(mixture[0], tmp_path / "run")
    (tmp_path / "run" / "artifacts.json").unlink()  # else the changes are found by their digests
    checkpoint = torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)
    del checkpoint["DataModule"]
    torch.save(checkpoint, tmp_path / "run" / "best.ckpt")
    assert restore(tmp_path / "run").levels == ()
    options: dict[str, Any] = {"masks": False, "cases": 0, "page": False, "samples": 1, "seed": 0, "data": {}}
    with pytest.raises(DataError, match=r"rounded to 8 bits, so its metrics would not be comparable: train it again"):
        evaluate_run(EvaluateSettings(tmp_path / "run", "test", "stored", None, None, **options))
    checkpoint["DataModule"] = {"levels": [["low", "high"]]}
    torch.save(checkpoint, tmp_path / "run" / "best.ckpt")
    with pytest.raises(DataError, match=r"best\.ckpt holds levels of black and white that are no pairs in order"):
        restore(tmp_path / "run")
