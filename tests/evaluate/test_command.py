"""`scripts/evaluate.py`: its files, its report, and its one-line errors."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.evaluate import main
from tandem.evaluate.case_viewer import CaseViewer
from tandem.evaluate.command import evaluate_run
from tandem.evaluate.settings import EvaluateSettings
from tandem.runs.restore import restore

Asked = Callable[..., EvaluateSettings]


def test_numbers_are_those_of_the_runs_own_results(trained: Path, metrics: Mapping[str, Any]) -> None:
    own = json.loads((trained / "results.json").read_text())["metrics"]
    compared = {key: value for key, value in own.items() if key.startswith("test/") and value is not None}
    compared.pop("test/loss")  # of all tasks together; evaluations are of each task
    assert len(compared) > 40
    for key, value in compared.items():
        assert metrics["metrics"][key] == pytest.approx(value, rel=1e-6, abs=1e-7), key
    assert metrics["warnings"] == []
    assert metrics["bootstrap"] == {"samples": 50, "seed": 0, "level": 0.95, "over": "images"}


def test_intervals_hold_their_numbers_and_agree_with_the_metrics_of_training(metrics: Mapping[str, Any]) -> None:
    assert len(metrics["intervals"]) > 30
    for key, (low, high) in metrics["intervals"].items():
        assert low is None or low <= high, key
    assert metrics["intervals"]["test/segmentation/dice"][0] < metrics["metrics"]["test/segmentation/dice"]


def test_the_report_opens_with_every_image_and_works_offline(
    evaluated: Path, browser_page: Callable[[Path], Any]
) -> None:
    opened = browser_page(evaluated / "report.html")
    assert opened.errors == []
    assert opened.badly_shown() == []
    images = opened.page.locator("img")
    assert images.count() > 20
    widths = images.evaluate_all("all => all.map(image => image.naturalWidth)")
    assert min(widths) > 0
    said = opened.page.locator("body").inner_text()
    for words in (
        "Evaluations on test data",
        "Grad-CAM",
        "Best by Dice",
        "Worst by Dice",
        "Images without lesion have no",
    ):
        assert words in said
    assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"


def test_masks_lie_where_the_rows_say(evaluated: Path, rows: Callable[[Path], list[dict[str, str]]]) -> None:
    for row in rows(evaluated):
        with Image.open(evaluated / row["segmentation.file"]) as mask:
            assert mask.size == (32, 32)
            assert np.asarray(mask).sum() == int(row["segmentation.area_predicted"])


def test_the_command_as_it_is_typed(
    in_process: Callable[[Callable[[], None]], Callable[..., Any]], copied: Path
) -> None:
    evaluate = in_process(main)
    done = evaluate(f"run={copied}", "split=val", "threshold=fit", "samples=20", "cases=0", "masks=false")
    assert (done.code, done.err) == (0, "")
    folder = copied / "evaluation" / "val"
    assert {path.name for path in folder.iterdir()} == {"images.csv", "metrics.json", "curves.json", "report.html"}
    assert "Dice" in done.out
    assert f"{folder / 'report.html'}\n" in done.out
    bare = evaluate(f"run={copied}", "split=val", "samples=20", "masks=false", "page=false")
    assert {path.name for path in folder.iterdir()} == {"images.csv", "metrics.json", "curves.json"}
    assert "report.html" not in bare.out
    assert "fitting a threshold on test data" in evaluate(f"run={copied}", "threshold=fit").error
    assert "one value for each key" in evaluate("-m", f"run={copied}", "threshold=0.4,0.5").error


def test_looking_at_test_data_again_leaves_a_record(copied: Path, asked: Asked) -> None:
    options: dict[str, Any] = {"masks": False, "cases": 0, "samples": 10}
    first = evaluate_run(asked(copied, **options))
    assert first["warnings"] == []
    assert [look["times"] for look in first["looks"]] == [2], "the end of training was the first look"
    second = evaluate_run(asked(copied, threshold=0.6, **options))
    third = evaluate_run(asked(copied, **options))
    for evaluation in (second, third):
        assert len(evaluation["looks"]) == 2
        assert "only once" in evaluation["warnings"][0]
    assert [look["times"] for look in third["looks"]] == [3, 1]
    assert json.loads((copied / "evaluation" / "test" / "touched.json").read_text()) == third["looks"]
    page = (copied / "evaluation" / "test" / "report.html").read_text()
    assert "evaluated with 2 sets of thresholds" in page
    assert second["metrics"]["test/segmentation/threshold"] == pytest.approx(0.6)


def test_fitting_on_validation_data_finds_what_training_stored(copied: Path, asked: Asked) -> None:
    found = evaluate_run(asked(copied, split="val", threshold="fit", masks=False, cases=0, samples=10))
    assert found["thresholds"] == found["stored_thresholds"]
    estimate = found["estimates"]["segmentation"]["lesion"]
    assert estimate["threshold"] == pytest.approx(found["thresholds"]["segmentation"][0])
    assert estimate["score"] == pytest.approx(found["metrics"]["val/segmentation/dice"], abs=1e-6)
    assert estimate["nested"] <= estimate["score"] + 0.05
    assert found["looks"] == []


def test_training_data_are_seen_as_they_are(copied: Path, asked: Asked) -> None:
    found = evaluate_run(asked(copied, split="train", masks=False, cases=0, samples=10, batch_size=5))
    assert found["images"] == 24
    assert 0 <= found["metrics"]["train/segmentation/dice"] <= 1


def test_other_data_are_refused(copied: Path, asked: Asked) -> None:
    with pytest.raises(DataError, match=r"not the data that the run was trained on \(train, val, test differ\)"):
        evaluate_run(asked(copied, data={"seed": 4}))
    with pytest.raises(ConfigError, match="root"):
        evaluate_run(asked(copied, data={"root": "elsewhere"}))


def test_an_interrupted_evaluation_leaves_no_page(copied: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"masks": False, "cases": 0, "samples": 10}
    evaluate_run(asked(copied, **options))

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("tandem.evaluate.evaluators.masks.Masks.read", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluate_run(asked(copied, **options))
    folder = copied / "evaluation" / "test"
    assert [path.name for path in folder.iterdir()] == ["touched.json"]
    evaluate_run(asked(copied, **options))
    assert (folder / "report.html").exists()


def test_without_captum_the_page_says_so(
    trained: Path, monkeypatch: pytest.MonkeyPatch, tiny_samples: Callable[..., Samples]
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    module = restore(trained).module
    shown = CaseViewer(module, tiny_samples(2)).cams(module.tasks["classification"], [(0, 1, "a")])
    assert "tandem-mtl[explain]" in shown.note
    assert not shown.images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "tset"}, "split is 'tset'.*test"),
        ({"threshold": "fit"}, "fitting a threshold on test data"),
        ({"threshold": {"segmentation": "fit"}}, "fitting a threshold on test data"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": True}, "threshold is True"),
        ({"threshold": "store"}, "threshold is 'store'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"samples": 1}, "samples is 1"),
        ({"device": "gpu0"}, "device is 'gpu0'"),
        ({"cases": -1}, "cases is -1"),
        ({"threshold": "sensitivity:95"}, "write threshold=sensitivity:0.95"),
        ({"decide": "rankdise"}, "did you mean 'rankdice'"),
        ({"decide": "postprocess", "threshold": "fit", "split": "val"}, "threshold=fit with decide="),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_read(
    changes: dict[str, Any], message: str, asked: Asked, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        asked(tmp_path, **changes)


def test_a_threshold_for_a_task_that_has_none_is_refused(copied: Path, asked: Asked) -> None:
    with pytest.raises(ConfigError, match="threshold names 'segmentatoin', which has no threshold"):
        evaluate_run(asked(copied, threshold={"segmentatoin": 0.5}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(copied: Path, asked: Asked) -> None:
    with pytest.raises(ConfigError, match="device=cuda is not available"):
        evaluate_run(asked(copied, device="cuda"))
