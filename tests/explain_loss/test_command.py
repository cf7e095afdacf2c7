"""`scripts/explain_loss.py`: its arguments, its files, and its one-line errors."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.explain_loss.command import main
from tandem.utils.written import MARKER

REPOSITORY = Path(__file__).parents[2]
SMALL = ["data.size=32", "data.train=6", "data.val=6", "data.test=6"]
Command = Callable[..., Any]


@pytest.fixture
def explain_loss(in_process: Callable[[Callable[[], None]], Command]) -> Command:
    """The command in this process, on few small images."""
    run = in_process(main)
    return lambda *arguments: run(*arguments, *SMALL)


def rows(path: Path) -> list[Mapping[str, str]]:
    """A csv file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_command_as_the_issue_types_it(
    explain_loss: Command, tmp_path: Path, browser_page: Callable[[Path], Any]
) -> None:
    done = explain_loss("loss/binary=bce_focal", "loss.gamma=1,2,3")
    assert (done.code, done.err) == (0, "")
    folder = tmp_path / "runs" / "explain_loss" / "bce_focal-gamma-1-2-3" / "size-32_test-6_train-6_val-6"
    files = {"explain_loss.html", "explain_loss.png", "curves.csv", "shares.csv"}
    assert {path.name for path in folder.iterdir()} == files | {"status.json", ".lock", MARKER}
    for file in files:
        assert f"{folder / file}\n" in done.out
    for words in ("gamma=1", "gamma=3", "the pixels themselves", "before training: p = 0.5", "balanced_bce beta=44/49"):
        assert words in done.out
    with Image.open(folder / "explain_loss.png") as image:
        assert image.width > 1000
        assert len(np.unique(np.asarray(image.convert("L")))) > 50

    opened = browser_page(folder / "explain_loss.html")
    assert opened.errors == []
    assert opened.badly_shown() == []
    images = opened.page.locator("img")
    assert images.count() == 3
    assert all(images.nth(index).evaluate("image => image.naturalWidth") > 1000 for index in range(3))
    assert opened.page.locator("h1").inner_text() == "bce_focal gamma=1, 2, 3"


def test_the_tables_contain_every_number(explain_loss: Command, tmp_path: Path) -> None:
    done = explain_loss("loss/binary=bce,dice_bce,balanced_bce", "out=here")
    assert done.code == 0
    assert "computed from the training masks: balanced_bce: beta = 0.9" in done.out
    curves = rows(tmp_path / "here" / "curves.csv")
    assert len(curves) == 3 * 2 * 99
    point = next(row for row in curves if (row["setting"], row["of"], row["x"]) == ("bce", "lesion", "0.3"))
    assert float(point["gradient"]) == pytest.approx(0.7)
    found = rows(tmp_path / "here" / "shares.csv")
    groups = {(row["masks"], row["moment"], row["setting"]) for row in found}
    assert len(groups) == 3 * (1 + 3) + 2 * (1 + 3 + 2), "bce is among the example's own losses"
    for group in groups:
        shares = [float(row["share"]) for row in found if (row["masks"], row["moment"], row["setting"]) == group]
        assert len(shares) == 6
        assert sum(shares) == pytest.approx(1)

    assert explain_loss("loss/regression=mse,mae,huber", "out=here").code == 0
    assert {path.name for path in (tmp_path / "here").iterdir()} == {
        *("explain_loss.html", "explain_loss.png", "curves.csv", "status.json", ".lock", MARKER)
    }, "a regression has no shares, and those of the earlier losses are gone"
    assert {row["of"] for row in rows(tmp_path / "here" / "curves.csv")} == {"error"}


def test_a_sweep_over_anything_else_gives_a_page_each(explain_loss: Command, tmp_path: Path) -> None:
    done = explain_loss("-m", "loss/regression=mse,mae", "split=val,train", "out=here")
    assert done.code == 0
    pages = sorted((tmp_path / "here").glob("*/explain_loss.html"))
    names = [page.parent.name for page in pages]
    assert names == [f"mse-mae_size-32_test-6_train-6_val-6_split-{split}" for split in ("train", "val")]
    assert all("mse, mae" in page.read_text(encoding="utf-8") for page in pages)


@pytest.mark.full
def test_another_question_has_another_folder(explain_loss: Command, tmp_path: Path) -> None:
    for words in (["split=val"], ["-m", "split=val,train"], ["-m", "data.seed=1,2"], ["split=test"]):
        assert explain_loss("loss/regression=mse", *words).code == 0
    pages = sorted(path.parent.name for path in (tmp_path / "runs" / "explain_loss" / "mse").glob("*/*.html"))
    more = "test-6_train-6_val-6"
    assert pages == [
        *(f"seed-{seed}_size-32_{more}" for seed in (1, 2)),
        *(f"size-32_{more}_split-{split}" for split in ("test", "train", "val")),
    ]


REFUSED = [
    ([], "no loss is chosen; set loss/binary=bce,focal "),
    (["loss=focal"], "'loss' is chosen by kind (binary, embedding, multiclass, regression): write loss/binary=..."),
    (["loss/binary=focall"], "no option 'focall' in the config group 'loss/binary': did you mean 'focal'? "),
    (["loss/binary=focal,focall"], "with focall: no option 'focall' in the config group 'loss/binary': did you mean "),
    (["loss/binary=focal", "loss.gama=1,2"], "unknown key 'loss.gama': did you mean 'gamma'? "),
    (["loss/binary=focal,bce", "loss.gamma=1"], "with bce: unknown key 'loss.gamma': the chosen option of loss has no"),
    (["loss/binary=focal", "loss.alpha=0.25,1"], "loss.alpha = 1 would give every negative the weight 0; "),
    (["loss/binary=bce", "loss/multiclass=focal"], "loss/multiclass=focal and loss/binary=bce are losses of two kinds"),
    (["loss/embedding=supcon"], "SupCon has no curve: an embedding loss compares images with each other and has"),
    (["loss/multiclass=cross_entropy", "loss.weight=[1,2,3]"], "cross_entropy weight=[1,2,3]: weight has 3 numbers "),
    (["loss/binary=bce", "data.seed=1,2"], "'data.seed=1,2' has several values; add -m to sweep over them, "),
    (["loss/binary=bce", "split=vall"], "split is 'vall', which data 'phantom' does not have: did you mean 'val'?"),
    (["loss/binary=bce", "border=-1"], "border is -1, but must be at least 0 and below 2^32"),
    (["loss/binary=bce", "half_trained.noise=nan"], "half_trained.noise is nan, but must be at least 0 and below 2^32"),
    (["loss/binary=bce", "hard=0"], "hard is 0.0, but must be above 0 and at most 1"),
    (["loss/binary=bce", "masks=0"], "masks is 0, but must be at least 1 and below 2^32"),
    (["loss/binary=bce", "nam=x"], "unknown key 'nam': did you mean 'name'? "),
    (
        ["loss/binary=bce", "data.class_probabilities=[1,0,0]"],
        "data 'phantom', split 'val': none of 6 masks shows a lesion, so there are no gradient shares; ",
    ),
]


@pytest.mark.parametrize(("typed", "line"), REFUSED, ids=[" ".join(typed) or "nothing" for typed, _ in REFUSED])
def test_what_cannot_be_shown_is_refused_in_one_line(
    explain_loss: Command, tmp_path: Path, typed: list[str], line: str
) -> None:
    if "loss/embedding=supcon" in typed:
        pytest.importorskip("pytorch_metric_learning", reason="the extra tandem-mtl[embedding] is not installed")
    done = explain_loss(*typed)
    assert done.code == 1
    assert done.error.startswith(line)
    assert not list(tmp_path.rglob("*.html"))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [(["--help"], "Choices (--help data"), (["loss/binary=focal", "loss.gamma=1,2", "--cfg", "job"], "  gamma: 1\n")],
    ids=["--help", "--cfg job"],
)
def test_help_and_configuration_import_nothing_heavy(tmp_path: Path, typed: list[str], shown: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(REPOSITORY / "scripts" / "explain_loss.py"), *typed],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert shown in done.stdout
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "numpy.linalg", "matplotlib", "scipy", "pytorch_lightning", "rich.table"}
    assert list(tmp_path.iterdir()) == []
