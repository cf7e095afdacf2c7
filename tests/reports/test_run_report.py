"""The page of a run: complete, self-contained, and safe to open whatever the names are."""

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.reports.run_report import write_report
from tandem.utils.files import write_json, write_text

TASKS = {
    "classification": {"loss": {"_target_": "tandem.losses.multiclass.CrossEntropy"}},
    "segmentation": {"loss": {"_target_": "tandem.losses.binary.BCEFocal"}},
}
CSV = {
    "classification": "val/classification/loss,val/classification/balanced_accuracy",
    "segmentation": "train/segmentation/loss,val/segmentation/dice",
}
VALUES: dict[str, dict[str, float | None]] = {
    "classification": {"loss": 0.9, "balanced_accuracy": 0.75, "recall/<i>odd</i>": 0.5},
    "segmentation": {"loss": 0.3, "dice": 0.81, "dice_lesion": 0.7, "specificity_empty": None, "threshold": 0.42},
}
EVIL = "<script>alert('x')</script> & \"co\""


class Page(HTMLParser):
    """What a browser would see: tags with attributes, rows of tables, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "tags close in order"

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def images(self) -> list[Image.Image]:
        sources = [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        opened: list[Image.Image] = [
            Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) for source in sources
        ]
        for image in opened:
            image.load()
        return opened


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Page]:
    """Writes the files of a run with some tasks, and gives its page."""

    def make(*tasks: str, name: str = "mine", epochs: int = 2, panels: tuple[str, ...] = (), **more: Any) -> Page:
        metrics = {
            f"{stage}/{task}/{key}": value
            for stage in ("val", "test")
            for task in tasks
            for key, value in VALUES[task].items()
        }
        curve = {"thresholds": [0.1, 0.5, 0.9], "dice_global": [0.5, 0.8, None], "dice_lesion": [None, None, None]}
        results = {
            "name": name,
            "seed": 7,
            "monitor": "val/segmentation/dice",
            "best_epoch": 1,
            "epochs": epochs,
            "metrics": metrics,
            "curves": {"val/segmentation": curve, "test/segmentation": curve} if "segmentation" in tasks else {},
            "data": {"fingerprint": {"train": "abc123", "val": "def456"}},
            "parameters": 1234567,
            "seconds": 61.4,
            "device": "a small machine",
            "threads": 2,
            "platform": "Linux",
            "versions": {"python": "3.11", "torch": None},
            "git": {"commit": "0123abcd", "changed": True},
            "config": {"tasks": {task: TASKS[task] for task in tasks}},
            **more,
        }
        write_json(tmp_path / "results.json", results)
        columns = [CSV[task] for task in tasks]
        lines = [",".join(["epoch,step,lr", *columns])]
        lines += [",".join([f"{epoch},1,0.1", *["0.5," for _ in columns]]) for epoch in range(epochs)]
        if epochs:
            write_text(tmp_path / "metrics.csv", "\n".join(lines) + "\n")
        write_text(tmp_path / "config.yaml", f"name: {name}\nurl: https://example.org\n")
        for panel in panels:
            (tmp_path / "panels").mkdir(exist_ok=True)
            Image.new("RGB", (8, 4), (1, 2, 3)).save(tmp_path / "panels" / f"{panel}.png")
        page = write_report(tmp_path)
        assert page == tmp_path / "report.html"
        return Page(page.read_text(encoding="utf-8"))

    return make


def test_both_tasks_give_a_full_page(run: Callable[..., Page]) -> None:
    page = run("classification", "segmentation", panels=("test_segmentation", "val_segmentation"))
    assert page.open == []
    assert page.rows == [
        ["task", "images", "metric", "val", "test"],
        ["classification", "all", "balanced accuracy", "0.750", "0.750"],
        ["", "", "loss", "0.900", "0.900"],
        ["", "", "recall/<i>odd</i>", "0.500", "0.500"],
        ["segmentation", "all", "Dice (official)", "0.810", "0.810"],
        ["", "", "threshold (from val)", "0.420", "0.420"],
        ["", "", "loss", "0.300", "0.300"],
        ["segmentation", "with lesion", "Dice per image", "0.700", "0.700"],
        ["segmentation", "without lesion", "predicted empty", "-", "-"],
    ]
    for words in (
        "tasks: classification (CrossEntropy), segmentation (BCEFocal); seed 7; best epoch 1 of 0 to 1",
        "1,234,567 parameters; 61 s on a small machine",
        "git 0123abcd with changes",
        "data train: abc123",
        "threads 2",
        "url: https://example.org",
    ):
        assert words in page.text
    sizes = [image.size for image in page.images()]
    assert len(sizes) == 2 + 2 + 2, "two sweeps, two learning curves, two panels"
    assert sizes[:2] == [(8, 4), (8, 4)]
    assert all(len(np.unique(np.asarray(image.convert("L")))) > 10 for image in page.images()[2:])


def test_confusion_matrices_of_validation_and_test_are_shown(run: Callable[..., Page]) -> None:
    one = {"classes": ["normal", "<b>$\\frac{a$"], "counts": [[3, 1], [0, 0]]}
    page = run("classification", confusion={f"{stage}/classification": one for stage in ("train", "val", "test")})
    assert page.rows[-6:] == 2 * [
        ["true \\ predicted", "normal", "<b>$\\frac{a$"],
        ["normal", "3", "1"],
        ["<b>$\\frac{a$", "0", "0"],
    ]
    shades = [attributes.get("class") for tag, attributes in page.tags if tag == "td"][-8:]
    assert shades == 2 * ["s7", "s2", "s0", "s0"]
    assert "375%" in page.text
    assert "val/classification" in page.text
    assert "train/classification" not in page.text
    assert "Confusion" not in run("classification").text


def test_nothing_is_fetched_from_anywhere(run: Callable[..., Page]) -> None:
    page = run("classification", "segmentation", panels=("val_segmentation",))
    assert not {"script", "iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for key in ("src", "href", "srcset", "data", "action", "style"):
            assert attributes.get(key, "data:").startswith("data:")  # type: ignore[union-attr]


def test_the_style_fetches_nothing(run: Callable[..., Page], tmp_path: Path) -> None:
    run("segmentation")
    (style,) = re.findall(r"<style>(.*?)</style>", (tmp_path / "report.html").read_text(), flags=re.DOTALL)
    assert not re.search(r"url\(|@import|http", style)


def test_names_are_shown_and_not_run(run: Callable[..., Page], tmp_path: Path) -> None:
    page = run("segmentation", name=EVIL, device=EVIL, monitor=EVIL, panels=("val_<b>",), versions={EVIL: EVIL})
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert f"tandem: {EVIL}" in page.text
    assert page.text.count(EVIL) >= 5
    assert "<script" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("task", "images"), [("classification", 2), ("segmentation", 4)])
def test_one_task_alone_gives_a_full_page(run: Callable[..., Page], task: str, images: int) -> None:
    page = run(task)
    assert len(page.images()) == images
    assert {row[0] for row in page.rows[1:]} - {""} == {task}
    assert ("No task with a threshold." in page.text) == (task == "classification")
    for heading in ("Results of the best checkpoint", "Dice against threshold", "Learning curves", "Cases"):
        assert heading in page.text


def test_missing_epochs_panels_or_git_are_reported(run: Callable[..., Page]) -> None:
    page = run("classification", epochs=0, git=None)
    assert "No epoch was recorded." in page.text
    assert "None." in page.text
    assert "no git checkout" in page.text


def test_the_same_run_gives_the_same_page(run: Callable[..., Page], tmp_path: Path) -> None:
    run("segmentation", panels=("val_segmentation",))
    first = (tmp_path / "report.html").read_bytes()
    write_report(tmp_path)
    assert (tmp_path / "report.html").read_bytes() == first


def test_it_fits_phones_and_dark_screens(
    run: Callable[..., Page], tmp_path: Path, browser_page: Callable[[Path], Any]
) -> None:
    warning = {"name": "flat", "epoch": 1, "task": "segmentation", "saw": "Dice is 0", "attempt": "lr=" + 80 * "0"}
    run("classification", "segmentation", panels=("test_segmentation",), name=10 * "long_", warnings=[warning])
    opened = browser_page(tmp_path / "report.html")
    assert opened.errors == []
    assert opened.badly_shown() == []


def test_a_page_begins_with_its_answer(run: Callable[..., Page]) -> None:
    counts = {"test/classification": {"classes": ["no", "yes"], "counts": [[9, 1], [5, 5]]}}
    page = run("classification", "segmentation", confusion=counts)
    assert page.text.startswith(
        "tandem: minemineOn test images. Classification: balanced accuracy 0.750. Segmentation: "
    )
    assert (
        "Dice 0.810 at threshold 0.42 from validation. This is one run: evaluate.py adds the other intervals"
        in page.text
    )


def test_cases_have_their_captions(run: Callable[..., Page], tmp_path: Path) -> None:
    (tmp_path / "panels").mkdir()
    cases = [{"id": EVIL, "class": "yes", "dice": 0.25}, {"id": "b", "class": None, "dice": None}]
    write_json(tmp_path / "panels" / "test_segmentation.json", cases)
    Image.new("RGB", (8, 3 + 4 + 3), (1, 2, 3)).save(tmp_path / "panels" / "test_segmentation.png")
    page = run("segmentation")
    assert [image.size for image in page.images()[:2]] == [(8, 3), (8, 3)]
    assert f"{EVIL}; yes; Dice 0.250" in page.text
    assert "b; both masks empty" in page.text
