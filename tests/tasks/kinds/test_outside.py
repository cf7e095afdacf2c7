"""A task of a new kind, from outside the package, beside a segmentation: every command works with both."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import tandem
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import EvaluateSettings
from tandem.export.command import export_run
from tandem.predict.command import predict_folder
from tandem.predict.settings import PredictSettings
from tandem.runs.restore import restore
from tandem.study.command import write_study
from tandem.tasks.kinds import MaskAnswer, RawAnswer
from tandem.train.run import train

MODULE = '''
"""Ordinal regression: is the grade above k, for each k (Frank and Hall, 2001)."""

import torch
from torchmetrics import Metric

from tandem.losses import Loss
from tandem.tasks.dense import DenseTask
from tandem.tasks.pooled import PooledTask


class Cumulative(Loss):
    """Cross-entropy of each question `is the grade above k`."""

    kind = "ordinal"

    def forward(self, logits, target):
        above = target[:, None] > torch.arange(logits.shape[1], device=target.device)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), above.float())


class GradeError(Metric):
    """Mean absolute difference of grades."""

    higher_is_better = False
    full_state_update = False

    def __init__(self):
        super().__init__()
        self.add_state("total", torch.tensor(0.0), "sum")
        self.add_state("rows", torch.tensor(0), "sum")

    def update(self, probabilities, target):
        self.total = self.total + ((probabilities > 0.5).sum(1) - target).abs().sum()
        self.rows = self.rows + len(target)

    def compute(self):
        return self.total / self.rows


class OrdinalTask(PooledTask):
    """C - 1 cumulative logits for each image."""

    kind = "ordinal"
    target = "label"

    @property
    def channels(self):
        return len(self.data.classes) - 1

    def labelled(self, target):
        return target >= 0

    def probabilities(self, logits):
        return torch.sigmoid(logits)


class GradedTask(OrdinalTask):
    """The same, which also names the grade."""

    def answer_from(self, probabilities):
        grade = int((probabilities > 0.5).sum())
        return {"grade": grade, "name": self.data.classes[grade]}


class Distance(Loss):
    """Squared error of a signed distance, which is 1 inside and -1 outside; 255 counts nowhere."""

    kind = "distance"

    def forward(self, logits, target):
        known = target != 255
        return ((logits.float() - (2.0 * target - 1)) ** 2)[known].mean()


class DistanceTask(DenseTask):
    """A value for each pixel, of a kind that has no class."""

    kind = "distance"
    target = "mask"

    @property
    def channels(self):
        return 1

    def probabilities(self, logits):
        return logits
'''

GRADES = "{grade_error: {_target_: outside_ordinal.GradeError, _partial_: true}}"

TASKS = {
    "ordinal": ("OrdinalTask", "Cumulative", GRADES),
    "graded": ("GradedTask", "Cumulative", GRADES),
    "distance": ("DistanceTask", "Distance", "null"),
}

YAML = """
# @package _global_
tasks:
  {task}:
    _target_: outside_ordinal.{cls}
    loss:
      _target_: outside_ordinal.{loss}
    metrics: {metrics}
balance:
  weights:
    {task}: 1.0
monitor: val/loss
mode: min
"""

SMALL = ["experiment=tiny", "logger=none", "trainer.enable_progress_bar=false", "data.train=12", "data.val=12"]
SMALL += ["data.test=12", "data.seed=3", "optimizer.lr=1e-2", "task=[ordinal,graded,distance,segmentation]"]


@dataclass(frozen=True)
class Made:
    """A folder with two finished runs of the four tasks, and some images."""

    runs: tuple[Path, Path]
    images: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    root = tmp_path_factory.mktemp("outside")
    (root / "outside_ordinal.py").write_text(MODULE)
    (root / "conf" / "task").mkdir(parents=True)
    for task, (cls, loss, metrics) in TASKS.items():
        text = YAML.format(task=task, cls=cls, loss=loss, metrics=metrics)
        (root / "conf" / "task" / f"{task}.yaml").write_text(text)
    (root / "images").mkdir()
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 255, (40, 50), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{index}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        patch.setenv("TANDEM_ALLOW", "outside_ordinal")
        yield Made((run(root, 0), run(root, 1)), root / "images")


def run(root: Path, seed: int) -> Path:
    """Trains, with the folder of the task's yaml beside the shipped ones, as `--config-dir` puts it there."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        search = f"hydra.searchpath=[file://{root / 'conf'}]"
        config = compose("train", overrides=[search, *SMALL, f"seed={seed}"])
    folder = root / "runs" / f"seed{seed}"
    folder.mkdir(parents=True)
    train(resolve(config), folder)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def of(task: str, row: Mapping[str, Any]) -> list[str]:
    return [name.removeprefix(f"{task}.") for name in row if name.startswith(f"{task}.")]


@pytest.fixture(scope="module")
def evaluated(made: Made) -> Path:
    evaluate_run(EvaluateSettings(made.runs[0], "test", "stored", None, None, True, 1, True, 20, 0, {}))
    return made.runs[0] / "evaluation" / "test"


def test_training_reports_its_loss_and_metric_and_thresholds_of_others_alone(made: Made) -> None:
    results = json.loads((made.runs[0] / "results.json").read_text())
    assert np.isfinite([results["metrics"][f"test/ordinal/{name}"] for name in ("loss", "grade_error")]).all()
    assert list(results["thresholds"]) == ["segmentation"]
    assert not any(place.endswith("ordinal") for place in results["confusion"])
    page = (made.runs[0] / "report.html").read_text()
    assert "grade_error" in page


def test_images_csv_holds_raw_values_and_its_page_notes_it(made: Made, evaluated: Path) -> None:
    table = rows(evaluated / "images.csv")
    assert len(table) == 12
    assert of("ordinal", table[0]) == ["true", "0.value", "1.value"]
    assert of("graded", table[0]) == ["true", "0.value", "1.value", "grade", "name"]
    assert of("distance", table[0]) == ["true", "mean"]
    assert of("segmentation", table[0])[0] == "threshold"
    assert all((evaluated / row["segmentation.file"]).is_file() for row in table)
    classes = restore(made.runs[0]).info.classes
    for row in table:
        assert classes[int(row["ordinal.true"])] == row["class"]
        above = [float(row[f"graded.{k}.value"]) > 0.5 for k in range(2)]
        assert (int(row["graded.grade"]), row["graded.name"]) == (sum(above), classes[sum(above)])
    metrics = json.loads((evaluated / "metrics.json").read_text())
    errors = [abs(int(row["graded.grade"]) - int(row["graded.true"])) for row in table]
    assert metrics["metrics"]["test/graded/grade_error"] == pytest.approx(np.mean(errors))
    assert not any(name.startswith("test/ordinal") for name in metrics["intervals"]), "no invented statistics"
    assert "no evaluator for the kind of this task, 'ordinal'" in (evaluated / "report.html").read_text().replace(
        "&#x27;", "'"
    )


def test_predict_answers_with_raw_values_and_with_the_task_s_own_columns(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict_folder(PredictSettings((made.runs[0],), made.images, out, False, True, 4, "cpu", {}))
    table = rows(out / "predictions.csv")
    assert of("ordinal", table[0]) == ["0.value", "1.value"]
    assert of("graded", table[0]) == ["0.value", "1.value", "grade", "name"]
    assert of("segmentation", table[0]) == ["area", "share", "threshold", "file"]
    assert of("distance", table[0]) == ["mean"]
    assert [folder.name for folder in (out / "masks").iterdir()] == ["segmentation"]
    assert all((out / row["segmentation.file"]).is_file() for row in table)
    found = tandem.load(made.runs[0], device="cpu").predict([made.images / "0.png"])[0]
    assert isinstance(found["ordinal"], RawAnswer)
    assert isinstance(found["segmentation"], MaskAnswer)
    values = [float(table[0][f"ordinal.{k}.value"]) for k in range(2)]
    assert list(found["ordinal"].numbers.values()) == pytest.approx(values, rel=1e-6), "a batch of another size"
    assert found["distance"].values.shape == (1, 40, 50)
    assert found["distance"].values.mean() == pytest.approx(float(table[0]["distance.mean"]), abs=1e-5)
    assert found["graded"].row["grade"] == int(table[0]["graded.grade"])


def test_several_runs_and_mirror_images_are_averaged(made: Made) -> None:
    (both,) = tandem.load(made.runs, device="cpu").predict([made.images / "0.png"])
    single = [tandem.load(folder, device="cpu").predict([made.images / "0.png"])[0] for folder in made.runs]
    expected = np.mean([found["ordinal"].values for found in single], axis=0)
    np.testing.assert_allclose(both["ordinal"].values, expected, rtol=1e-6)


def test_the_exported_file_holds_raw_values_without_a_threshold(made: Made, tmp_path: Path) -> None:
    file, _ = export_run(made.runs[0], "onnx", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(file)
    names = [output.name for output in session.get_outputs()]
    assert {"ordinal_probabilities", "graded_probabilities", "segmentation_answer"} < set(names)
    assert not {"ordinal_answer", "distance_answer"} & set(names)
    metadata = {entry.key: json.loads(entry.value) for entry in onnx.load(file).metadata_props}["tandem.tasks"]
    assert metadata["ordinal"] == {"kind": "ordinal", "of each": "image", "channels": ["0", "1"], "threshold": None}
    assert metadata["distance"] == {"kind": "distance", "of each": "pixel", "channels": ["0"], "threshold": None}
    assert metadata["segmentation"]["threshold"] is not None
    image = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = dict(zip(names, session.run(None, {"image": image.numpy()}), strict=True))
    with torch.no_grad():
        expected = restore(made.runs[0]).module(image.float() / 255)["ordinal"].sigmoid()
    np.testing.assert_allclose(found["ordinal_probabilities"], expected, atol=1e-4)


def test_a_study_shows_it_beside_the_segmentation(made: Made) -> None:
    metrics = ["test/ordinal/grade_error", "test/segmentation/dice"]
    analysis, files = write_study([made.runs[0].parent], metrics=metrics)
    assert len(analysis.study.runs) == 2
    assert list(analysis.metrics) == metrics
    page = next(file for file in files if file.suffix == ".html").read_text()
    assert "grade_error" in page.replace(" ", "_")
