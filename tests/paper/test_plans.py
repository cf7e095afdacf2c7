"""Plans of a paper: experiments that are written once, from the data, and found by its runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError, DataError
from tandem.paper.command import reproduce
from tandem.paper.jobs import find_jobs
from tandem.paper.plan import Paper
from tandem.paper.plans import PLANS, with_plans
from tandem.paper.reading import read_paper
from tandem.paper.settings import PaperSettings, read_settings
from tandem.plan.asked import Asked, asked_by
from tandem.plan.fingerprint import Fingerprint
from tandem.plan.plan import Plan
from tandem.plan.rules import decide

SMALL = ["data=phantom", "data.size=32", "data.train=24", "data.val=12", "data.test=12"]


def asked(*overrides: str) -> PaperSettings:
    """What is asked, composed as the command line would."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return read_settings(resolve(compose("reproduce", list(overrides))))


def node() -> dict[str, Any]:
    """A paper with a plan, and an experiment that gets the same minutes."""
    return {
        "name": "made",
        "title": "Made",
        "budgets": {"small": {"about": "two minutes", "time": "2m", "overrides": ["trainer.max_epochs=1"]}},
        "plans": {
            "mine": {"words": SMALL},
            "mine_tiny": {"like": "mine", "words": ["experiment=tiny", "augment=none"], "rules": ["epochs"]},
        },
        "studies": {"one": ["experiment=mine,mine_tiny", "name=made", "seed=0", "logger=none"]},
        "tables": {
            "main": {
                "title": "Main",
                "rows": {
                    "plan": {"label": "plan", "runs": {"experiment": "mine"}},
                    "tiny": {"label": "tiny", "runs": {"experiment": "mine_tiny"}},
                },
                "columns": {
                    "lesion": {"label": "Dice", "metric": "test/segmentation/dice_lesion"},
                    "seconds": {"label": "seconds", "metric": "seconds", "digits": 0},
                },
                "baseline": "plan",
            }
        },
    }


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No data are read and nothing is measured: names of the plans that were made."""
    made: list[str] = []

    def draw(name: str, asked: Asked, runs: Path, budget: float, calibrate: bool) -> Plan:
        made.append(name)
        few = {"normal": 20, "benign": 20, "malignant": 20}
        found = Fingerprint(
            "x", 60, {"train": 45, "val": 15, "test": 300}, few, 40, 20, 0, 60, few, 40, size=64, speed=4.0,
            mask_channels=("lesion",), options=frozenset(asked.node), budget=budget,
            published="flag" in asked.node, measured=calibrate,
        )  # fmt: skip
        found = replace(found, given=asked.settled(found))
        return Plan(found, decide(found, asked.rules))

    monkeypatch.setattr("tandem.plan.plan.draw_up", draw)
    return made


def write(node: dict[str, Any], tmp_path: Path, source: Path | None = None, **more: Any) -> tuple[Paper, PaperSettings]:
    paper = read_paper(node)
    runs, data = tmp_path / "runs", {"root": None}
    plain = PaperSettings(None, None, runs, None, True, 0, 0, 0.02, False, None, None, data)
    return paper, with_plans(paper, "small", replace(plain, **more), tmp_path / "out", source)


def test_plans_are_made_once_and_found_by_their_runs(tmp_path: Path, looks: list[str]) -> None:
    paper, settings = write(node(), tmp_path)
    assert settings.folders == [str(tmp_path / "out" / "plans")]
    files = {path.name: path.read_text() for path in (tmp_path / "out" / "plans" / "experiment").iterdir()}
    assert "  - tiny\n  - override /data: phantom\n  - override /augment: none\n" in files["mine_tiny.yaml"]
    assert "loss of the mask" in files["mine.yaml"]
    assert "loss of the mask" not in files["mine_tiny.yaml"], "an experiment that is given its epochs keeps the rest"
    assert "max_epochs: " in files["mine_tiny.yaml"]
    jobs = find_jobs(paper, "small", {}, settings.folders)
    assert [job.setting("experiment") for job in jobs] == ["mine", "mine_tiny"]
    kept = (tmp_path / "out" / PLANS).read_text()
    again = write(node(), tmp_path, launch=False)[1]
    assert looks == ["mine", "mine_tiny"], "what was measured is kept"
    assert (tmp_path / "out" / PLANS).read_text() == kept
    assert find_jobs(paper, "small", {}, again.folders) == jobs
    other = write(node(), tmp_path / "other", source=tmp_path / "out")[1]
    assert [job.place for job in find_jobs(paper, "small", {}, other.folders)] == [job.place for job in jobs]
    changed = node()
    changed["plans"]["mine"]["words"] = [*SMALL, "data.seed=1"]
    write(changed, tmp_path)
    assert looks[2:] == ["mine", "mine_tiny"], "a plan of other words is another plan"


def test_what_cannot_be_is_one_line(tmp_path: Path, looks: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"the plan 'mine' is not in .*plans.json; .* launch=true"):
        write(node(), tmp_path, launch=False)
    wrong = node()
    wrong["plans"]["mine_tiny"]["rules"] = ["epoch"]
    with pytest.raises(ConfigError, match="no rule of a plan is called 'epoch': did you mean 'epochs'"):
        write(wrong, tmp_path)
    write(node(), tmp_path)
    kept = json.loads((tmp_path / "out" / PLANS).read_text())
    for broken in (
        {**kept["small"]["mine"], "fingerprint": {"images": 3}},
        {**kept["small"]["mine"], "fingerprint": 3},
    ):
        (tmp_path / "bad").mkdir(exist_ok=True)
        (tmp_path / "bad" / PLANS).write_text(json.dumps({"small": {**kept["small"], "mine": broken}}))
        with pytest.raises(DataError, match="the plan 'mine' cannot be read"):
            write(node(), tmp_path / "other", source=tmp_path / "bad")
    (tmp_path / "bad" / PLANS).write_text("[]")
    with pytest.raises(DataError, match="holds no plans"):
        write(node(), tmp_path / "other", source=tmp_path / "bad")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda node: node["budgets"]["small"].pop("time"), "paper.budgets.small has no time, which plans need"),
        (lambda node: node["plans"]["mine_tiny"].update(like="min"), "paper.plans.mine_tiny.like is 'min'"),
        (lambda node: node["plans"]["mine"].update(like="mine_tiny"), "which is like another one"),
        (lambda node: node["plans"]["mine"].update(words="x"), "paper.plans.mine.words is 'x', but must be a list"),
        (lambda node: node["plans"]["mine"].update(budget="x"), "unknown key 'paper.plans.mine.budget'"),
    ],
)
def test_a_wrong_plan_is_named(change: Callable[[dict[str, Any]], object], said: str) -> None:
    made = node()
    change(made)
    with pytest.raises(ConfigError, match=said):
        read_paper(made)


def test_paths_of_the_reader_stay_out_of_experiments(tmp_path: Path, looks: list[str], busi_tree: Any) -> None:
    made = node()
    made["plans"] = {"mine": {"words": ["data=busi", "data.root=%data.root%", "data.folds=2", "data.fold=0"]}}
    write(made, tmp_path, data={"root": busi_tree(2)})
    written = (tmp_path / "out" / "plans" / "experiment" / "mine.yaml").read_text()
    assert "folds: 2" in written
    for text in (written, (tmp_path / "out" / PLANS).read_text()):
        assert str(tmp_path) not in text


def test_words_are_options_groups_and_an_experiment() -> None:
    words = ["experiment=busi", "data=phantom", "task=[segmentation]", "data.size=32", "optimizer.lr=0.1", "seed=3"]
    found = asked_by(words, ["epochs"])
    assert (found.data, found.base, found.groups) == ("phantom", "busi", {"task": ["segmentation"]})
    assert found.given == {"data.size": 32, "optimizer.lr": 0.1, "seed": 3}
    assert found.node["size"] == 32


def test_a_fingerprint_is_read_as_it_was_written() -> None:
    found = Fingerprint("x", 3, {"train": 3}, {"a": 3}, widths=(0.25, 0.5), options=frozenset({"size"}), given={"a": 1})
    plain = json.loads(json.dumps(found.to_json()).replace("NaN", "null"))
    read = Fingerprint.from_json(plain, {"a": 1})
    assert repr(read) == repr(found)


@pytest.mark.full
def test_the_shipped_paper_is_whole(tmp_path: Path, looks: list[str], trees: Any, busi_tree: Any) -> None:
    data = {"root": busi_tree(2), "file": trees.medmnist(tmp_path / "chest.npz")}
    settings = asked("paper=plan", f"runs={tmp_path / 'runs'}", *(f"data.{key}={path}" for key, path in data.items()))
    assert settings.paper is not None
    paper = read_paper(settings.paper)
    assert list(paper.budgets) == ["cpu", "hour"]
    settings = with_plans(paper, "cpu", settings, tmp_path / "out")
    assert len(looks) == len(paper.plans) == 25
    jobs = find_jobs(paper, "cpu", settings.data, settings.folders)
    assert len(jobs) == 6 * 3 * 3 + 4 * 3 * 3 + 3 * 3
    assert len({job.place for job in jobs}) == len(jobs)
    for table in paper.tables.values():
        for row in table.rows.values():  # type: ignore[union-attr]  # every table has named rows
            assert sum(job.setting("experiment") == row.runs["experiment"] for job in jobs) in (3, 9)


@pytest.mark.full
def test_a_paper_with_plans_from_nothing_to_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = replace(asked("paper=quick", "runs=runs", "out=out", "archive=true", "verify=1"), paper=node())
    done = reproduce(settings)
    assert done.good
    assert [check.verdict for check in done.checks] == ["identical"]
    table = (tmp_path / "out" / "tables" / "main.md").read_text()
    assert "| plan | 1 |" in table
    assert "| tiny | 1 |" in table
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["plans"]["file"] == PLANS
    measured = json.loads((tmp_path / "out" / PLANS).read_text())["small"]
    assert all(entry["fingerprint"]["measured"] for entry in measured.values())
    assert str(tmp_path) not in (tmp_path / "out" / PLANS).read_text()
    rebuilt = reproduce(replace(asked("archive=out.zip", "out=again", "runs=runs", "verify=1")))
    assert rebuilt.good
    assert rebuilt.changed == []
    assert [check.verdict for check in rebuilt.checks] == ["identical"]
