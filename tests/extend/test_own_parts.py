"""One part of each sort from outside the package: one Python file, one yaml, and the module's name in TANDEM_ALLOW.

The files are the examples of the documentation, `docs/examples`. Each part is trained by the command of its `run.sh`,
then evaluated, predicted with, exported and studied by the commands themselves.
"""

import csv
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.evaluate import main as evaluate
from tandem.export import main as export
from tandem.predict import main as predict
from tandem.study import main as study

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

PARTS = ("loss", "metric", "source", "augmentation", "balance", "callback", "tracker", "decoder", "network", "task")

SMALL = ("data.train=12", "data.val=12", "data.test=12", "data.seed=3")
QUIET = ("trainer.enable_progress_bar=false", "trainer.max_epochs=1", "trainer.accelerator=cpu")

LOSS, METRICS = "loss/binary@tasks.segmentation.loss=own", "metrics@tasks.segmentation.metrics=own"

TOGETHER = (
    "experiment=tiny", "data=own", "trainer.enable_progress_bar=false", LOSS, METRICS, "augment=own", "balance=own",
    "callbacks=own", "logger=own", "network=own_decoder", "task=[own,segmentation]",
)  # fmt: skip
"""All of them but the network, which needs no decoder, in one run."""

Commands = Callable[[Callable[[], None]], Callable[..., Any]]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Copies examples into the user's folder, on Python's path, and admits their modules by name; gives the folder."""
    place, known = tmp_path / "own", set(sys.modules)

    def copied(*parts: str) -> Path:
        for part in parts:
            shutil.copytree(EXAMPLES / part, place, dirs_exist_ok=True)
        monkeypatch.setenv("TANDEM_ALLOW", ",".join(path.stem for path in place.glob("*.py")))
        return place

    monkeypatch.syspath_prepend(str(place))
    yield copied
    for module in set(sys.modules) - known:
        if module.startswith("own_"):
            sys.modules.pop(module)


def typed(part: str) -> tuple[str, ...]:
    """The command of an example, without what a shell does, small and quiet."""
    (line,) = (line for line in (EXAMPLES / part / "run.sh").read_text().splitlines() if not line.startswith("#"))
    module = next((EXAMPLES / part).glob("*.py")).stem
    allow, path, program, *words = shlex.split(line)
    assert (allow, path, program) == (f"TANDEM_ALLOW={module}", "PYTHONPATH=.", "tandem-train")
    assert words[0] == "--config-dir=conf"
    small = () if part == "source" else SMALL
    return (*words[1:], *small, *QUIET, *(() if part == "tracker" else ("logger=none",)))


def done(outcome: Any) -> str:
    """What a command printed; fails where it failed."""
    assert outcome.code == 0, outcome.err
    return str(outcome.out)


def through_every_command(words: tuple[str, ...], commands: Commands, train: Callable[..., Any], folder: Path) -> Path:
    """Trains, then runs the other commands on the run; gives its folder."""
    done(train(*words, "name=own", f"--config-dir={folder / 'own' / 'conf'}"))
    (run,) = (path.parent for path in folder.glob("runs/own/*/results.json"))
    place = run.relative_to(folder)
    done(commands(evaluate)(f"run={place}", "samples=20", "cases=1"))
    metrics = json.loads((run / "evaluation" / "test" / "metrics.json").read_text())["metrics"]
    results = json.loads((run / "results.json").read_text())
    for key, value in results["metrics"].items():
        if key.startswith("test/") and value is not None:
            assert metrics[key] == pytest.approx(value, abs=1e-6), key
    (folder / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "images" / "a.png")
    done(commands(predict)(f"run={place}", "images=images", "out=predicted", "device=cpu"))
    with (folder / "predicted" / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["image"] == "a.png"
    for task in results["config"]["tasks"]:
        assert any(column.startswith(f"{task}.") for column in row), f"{task} has no column: {list(row)}"
    done(commands(export)(f"run={place}", "format=torch"))
    assert (run / "export" / "model.pt2").stat().st_size
    done(commands(study)("runs/own"))
    assert (folder / "runs" / "own" / "study" / "report.html").stat().st_size
    return run


@pytest.mark.full
@pytest.mark.parametrize("part", PARTS)
def test_one_file_and_one_yaml_are_enough(
    part: str, own: Callable[..., Path], in_process: Commands, tandem_train: Callable[..., Any], tmp_path: Path
) -> None:
    own(part)
    through_every_command(typed(part), in_process, tandem_train, tmp_path)


def test_all_of_them_in_one_run(
    own: Callable[..., Path], in_process: Commands, tandem_train: Callable[..., Any], tmp_path: Path
) -> None:
    own(*(part for part in PARTS if part != "network"))
    run = through_every_command(TOGETHER, in_process, tandem_train, tmp_path)
    results = json.loads((run / "results.json").read_text())
    assert 0 <= results["metrics"]["test/segmentation/volumetric_similarity"] <= 1
    assert 0 <= results["metrics"]["test/ordinal/grade_error"] <= 1
    assert results["monitor"] == "val/segmentation/dice", "its rank is the highest"
    with (tmp_path / "predicted" / "predictions.csv").open(newline="") as file:
        assert {row["ordinal.grade"] for row in csv.DictReader(file)} <= {"dark", "bright"}
    assert "train/segmentation/weight" in (run / "metrics.csv").read_text()
    assert "own/batches" in (run / "metrics.csv").read_text()
    diary = (run / "diary.txt").read_text()
    assert all(word in diary for word in ("settings", "summary", "finished True"))


def test_without_the_module_s_name_nothing_is_imported(
    own: Callable[..., Path], tandem_train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = own("loss")
    monkeypatch.delenv("TANDEM_ALLOW")
    outcome = tandem_train(*typed("loss"), f"--config-dir={place / 'conf'}")
    assert outcome.code == 1
    assert "TANDEM_ALLOW=own_loss" in outcome.err
    assert "own_loss" not in sys.modules
