"""The command: from a folder to an experiment and a page; what cannot be planned is refused in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandem.plan import main
from tandem.plan.budget import seconds_of, words_of
from tandem.python.config import compose

FAST = "calibrate=false"


@pytest.fixture
def plan(in_process: Callable[..., Any]) -> Callable[..., Any]:
    """`tandem-plan` in this process."""
    return lambda *words: in_process(main)(*words)


@pytest.mark.full
def test_a_folder_becomes_an_experiment_that_trains_here_and_elsewhere(
    plan: Callable[..., Any], trees: Any, tmp_path: Path, browser_page: Callable[..., Any],
    tandem_train: Callable[..., Any],
) -> None:  # fmt: skip
    trees.folders(tmp_path / "set", 9)
    outcome = plan("data=folder", "data.root=set", "name=mine", "data.no_mask=empty", FAST)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1].endswith("--config-dir plans experiment=mine")
    text = (tmp_path / "plans" / "experiment" / "mine.yaml").read_text()
    assert str(tmp_path) not in text
    assert "# left at the default:" in text
    config = compose(["experiment=mine"], tmp_path / "plans")
    assert list(config["tasks"]) == ["classification", "segmentation"]
    assert config["data"]["no_mask"] == "empty"
    assert config["data"]["folds"] == 5
    opened = browser_page(tmp_path / "plans" / "mine.html")
    assert opened.errors == []
    assert opened.badly_shown() == []
    assert "What can be learnt from so few?" in opened.page.locator("body").text_content()
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "plans", other / "plans")
    shutil.copytree(tmp_path / "set", other / "images")
    words = ("--config-dir", "other/plans", "experiment=mine", "data.root=other/images", "trainer.max_epochs=1")
    done = tandem_train(*words, "logger=none", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu")
    assert done.code == 0, done.err


def test_an_edited_plan_stays(plan: Callable[..., Any], trees: Any, tmp_path: Path) -> None:
    trees.folders(tmp_path / "set", 9)
    words = ("data=folder", "data.root=set", FAST)
    assert plan(*words).code == 0
    assert plan(*words).code == 0
    file = tmp_path / "plans" / "experiment" / "plan_folder.yaml"
    file.write_text(file.read_text().replace("max_epochs:", "max_epochs: 3 #"))
    assert "add overwrite=true" in plan(*words).error
    assert plan(*words, "overwrite=true").code == 0


@pytest.mark.full
def test_the_calibration_measures(plan: Callable[..., Any], tmp_path: Path) -> None:
    outcome = plan("data.train=40", "data.val=20", "data.test=20", "data.size=32")
    assert outcome.code == 0, outcome.err
    assert "calibrated: " in outcome.out
    assert "(measured)" in outcome.out
    assert sorted(path.name for path in (tmp_path / "plans").glob("*.*")) == [
        *(".tandem_files.json", "plan_phantom.html", "plan_phantom.json")
    ]


def flat(trees: Any, root: Path, count: int) -> None:
    for number in range(count):
        trees.save(root / f"a{number}.png", trees.noise(number))


def test_what_cannot_be_planned_is_refused_in_one_line(
    plan: Callable[..., Any], trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("data=folder", FAST)
    flat(trees, tmp_path / "flat", 16)
    neither = plan(*words, "data.root=flat", "data.images='{id}'", "data.masks=null").error
    assert "neither classes nor masks" in neither
    rows = "".join(f"a{number}.png,{number}\n" for number in range(16))
    (tmp_path / "flat" / "t.csv").write_text(f"image,age\n{rows}")
    table = ("data.table=t.csv", "data.columns.numbers=[age]", "data.columns.label=null", "data.columns.masks=null")
    number = plan(*words, "data.root=flat", *table).error
    assert "no rule plans for a number (age): train with task=number tasks.number.column=age" in number
    flat(trees, tmp_path / "one" / "benign", 16)
    assert "one class (benign), and there are no masks" in plan(*words, "data.root=one").error
    flat(trees, tmp_path / "blank" / "benign", 16)
    for number in range(16):
        mask = np.zeros((20, 24), np.uint8)
        trees.save(tmp_path / "blank" / "benign" / f"a{number}_mask.png", mask)
    assert "all 16 masks are empty" in plan(*words, "data.root=blank").error
    trees.folders(tmp_path / "four", 2)
    assert plan(*words, "data.root=four").error
    trees.folders(tmp_path / "set", 9)
    assert "give at least 2m" in plan(*words, "data.root=set", "budget=20s").error
    assert "10m, 1h or night" in plan(*words, "data.root=set", "budget=soon").error
    assert "name is 'a/b'" in plan(*words, "data.root=set", "name=a/b").error
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("tandem.plan.machine.shutil.disk_usage", lambda _: usage._replace(free=10**6))
    assert "GB free, but the plan needs" in plan(*words, "data.root=set").error
    assert not (tmp_path / "plans" / "experiment").exists()


def test_volumes_are_refused_in_one_line(plan: Callable[..., Any], tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for name in ("benign", "malignant"):
        for number in range(6):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            volume = nibabel.Nifti1Image(np.ones((8, 8, 5), np.uint8), np.eye(4))
            nibabel.save(volume, tmp_path / "set" / name / f"v{number}.nii.gz")
    assert "slices" in plan("data=folder", "data.root=set", FAST).error


def test_one_class_with_masks_is_a_mask_task(plan: Callable[..., Any], trees: Any, tmp_path: Path) -> None:
    trees.folders(tmp_path / "set", 16)
    shutil.rmtree(tmp_path / "set" / "malignant")
    outcome = plan("data=folder", "data.root=set", FAST)
    assert outcome.code == 0, outcome.err
    assert list(compose(["experiment=plan_folder"], tmp_path / "plans")["tasks"]) == ["segmentation"]


def several(trees: Any, tmp_path: Path, kind: str) -> tuple[str, ...]:
    """Data with masks of three classes, with two masks an image, or with findings: the words that name them."""
    words = ("data=folder", "data.root=set", FAST, "data.columns.label=null", "data.table=table.csv")
    if kind == "findings":
        trees.table(
            tmp_path / "set", 24, sick=lambda n: n % 2, stone=lambda n: int(n % 3 == 0), rare=lambda n: int(n == 1)
        )
        return (*words, "data.columns.masks=null", "data.columns.findings=[sick,stone,rare]")
    trees.table(tmp_path / "set", 24, other=lambda n: f"masks/p{n}.png")
    if kind == "channels":
        return (*words, "data.columns.masks={organ: mask, lesion: other}")
    for number in range(24):
        mask = trees.box(1)
        mask[8:12, 8:12] = 2 if number % 4 else 1
        trees.save(tmp_path / "set" / "masks" / f"p{number}.png", mask)
    return (*words, "data.mask_values={0: background, 1: organ, 2: lesion}")


KINDS = {"classes": "semantic", "channels": "segmentation", "findings": "multilabel"}


@pytest.mark.parametrize("kind", KINDS)
def test_several_masks_and_findings_are_planned(
    plan: Callable[..., Any], trees: Any, tmp_path: Path, kind: str
) -> None:
    outcome = plan(*several(trees, tmp_path, kind))
    assert outcome.code == 0, outcome.err
    config = compose(["experiment=plan_folder"], tmp_path / "plans")
    assert list(config["tasks"]) == [KINDS[kind]]
    assert config["data"]["folds"] == 5
    text = (tmp_path / "plans" / "experiment" / "plan_folder.yaml").read_text()
    said = {"classes": "a mask of 3 classes", "channels": "have a lesion", "findings": "2 of 3 findings have 6 images"}
    assert said[kind] in " ".join(text.split())


def test_findings_that_nearly_all_lack_are_refused(plan: Callable[..., Any], trees: Any, tmp_path: Path) -> None:
    words = several(trees, tmp_path, "findings")
    error = plan(*words[:-1], "data.columns.findings=[rare]").error
    assert "no finding has 6 images with a yes and as many with a no (rare 1 yes, 23 no)" in error


def test_budgets() -> None:
    assert [seconds_of(text) for text in ("2m", "1H", "90 min", "night")] == [120, 3600, 5400, 28800]
    assert words_of(1800) == "30 minutes"


def test_names_of_the_data_stay_in_their_comment() -> None:
    import yaml  # type: ignore[import-untyped]

    from tandem.plan.asked import Asked
    from tandem.plan.choice import Choice, Rule
    from tandem.plan.experiment import experiment_text
    from tandem.plan.fingerprint import Fingerprint
    from tandem.plan.rules import Decision

    odd = "a\nseed: 7\x85seed: 8\u2028seed: 9\x1b[0m \x00 #"
    choices = [Choice(odd, {"seed": 1}), Choice(odd, groups={"augment": "light"}), Choice(odd)]
    decisions = [
        Decision(str(n), Rule(odd, n, "", "", lambda _, one=choice: one), choice)  # type: ignore[misc]
        for n, choice in enumerate(choices)
    ]
    asked = Asked("folder", {}, {"data.root": "a: b # c", "data.images": "{class}/{id}"})
    text = experiment_text("x", asked, decisions, Fingerprint())
    found = yaml.safe_load(text)
    assert found == {
        "defaults": [{"override /data": "folder"}, {"override /augment": "light"}],
        "name": "x",
        "data": {"root": "a: b # c", "images": "{class}/{id}"},
        "seed": 1,
    }


def test_a_trained_plan_keeps_its_record(plan: Callable[..., Any], trees: Any, tmp_path: Path) -> None:
    from tandem.utils.files import read_json, write_json
    from tandem.utils.written import writing

    trees.folders(tmp_path / "set", 9)
    words = ("data=folder", "data.root=set", FAST)
    assert plan(*words).code == 0
    state = tmp_path / "plans" / "plan_folder.json"
    trained = {**read_json(state), "training": {"folds": {"0": {"epochs": 3}}, "seconds": 5.0}}
    with writing(tmp_path / "plans", "plan", overwrite=True):
        write_json(state, trained)
    assert "as it stands" in plan(*words).out
    assert read_json(state) == trained
    assert plan(*words, "overwrite=true").code == 0
    assert read_json(state)["training"] == {}
