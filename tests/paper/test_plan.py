"""A paper's yaml: what is refused, in one line that names the key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from tandem.config.identity import run_hash
from tandem.config.resolve import register, resolve
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError
from tandem.paper.jobs import expanded, filled, find_jobs, study_words
from tandem.paper.plan import Paper, RowTable, StudyTable
from tandem.paper.reading import read_paper

Change = Callable[[dict[str, Any]], object]

PAPERS = {
    "quick": {"cpu": 6, "test": 3},
    "loss_ablation": {"cpu": 507, "gpu": 507},
    "partial_labels": {"cpu": 65, "gpu": 65},
    "curated_busi": {"cpu": 32, "gpu": 32, "pretrained": 32},
    "curated_busi_repeated": {"cpu": 44, "cpu_128": 44, "gpu": 44, "pretrained": 44},
    "pneumoniamnist": {"cpu": 18, "full": 18},
}
"""Runs of each at each of its budgets."""


def shipped(name: str) -> Paper:
    """A paper of `conf/paper`."""
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return read_paper(resolve(compose("reproduce", [f"paper={name}"]))["paper"])


def test_every_paper_is_here() -> None:
    others = {"plan"}  # its experiments are written first, see test_plans.py
    assert {path.stem for path in (config_folder() / "paper").glob("*.yaml")} == {*PAPERS, *others}


@pytest.mark.parametrize(("name", "budget"), [(name, budget) for name, found in PAPERS.items() for budget in found])
def test_a_shipped_paper_is_whole_and_its_runs_are_counted(name: str, budget: str) -> None:
    paper = shipped(name)
    assert paper.name == name
    assert list(paper.budgets) == list(PAPERS[name])
    data = {"root": "/nowhere", "subset": "/nowhere.csv", "file": "/nowhere.npz", "weights": "/nowhere.safetensors"}
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        jobs = [words for study in paper.studies for words in expanded(study_words(paper, study, budget), data)]
        for words in (jobs[0], jobs[-1]):
            resolve(compose("train", filled(words, data)))
    assert len(jobs) == len({tuple(words) for words in jobs})
    assert len(jobs) == PAPERS[name][budget]
    for table in paper.tables.values():
        assert isinstance(table, RowTable | StudyTable)


def compose_hash(overrides: tuple[str, ...]) -> str:
    """Identity of a job, composed by Hydra from its files."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return run_hash(resolve(compose("train", list(overrides))))


@pytest.mark.parametrize("fast", [True, False])
def test_runs_are_where_a_sweep_puts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    if not fast:  # as with a Hydra whose private parts have changed
        monkeypatch.setattr("tandem.config.hydra_internals.OVERRIDDEN", ["_no_such_method"])
    paper = shipped("quick")
    jobs = find_jobs(paper, "test", {})
    monkeypatch.undo()
    assert len(jobs) == 3
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        whole = compose("train", [*jobs[0].overrides, f"hydra.sweep.dir={tmp_path}"], return_hydra_config=True)
    assert jobs[0].place == f"paper_quick/{whole.hydra.sweep.subdir}"
    alone = [compose_hash(job.overrides) for job in jobs]
    assert [job.hash for job in jobs] == alone, "as each is composed alone"
    assert jobs[0].setting("task") == "[classification,segmentation]"
    assert (jobs[0].setting("data"), jobs[0].setting("data.size")) == ("phantom", "32")


def test_jobs_are_those_of_hydras_own_sweeper() -> None:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    words = [
        "task=segmentation",
        "seed=range(3)",
        "optimizer.lr=0.1,0.2",
        "seed=1,2",
        "+data.note='a,b',[1,2]",
        "name=x",
    ]
    overrides = OverridesParser.create().parse_overrides(words)
    (expected,) = BasicSweeper.split_arguments(overrides, None)
    register()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        assert expanded(words, {}) == expected
        assert len(expected) == 8
        with pytest.raises(ConfigError, match=r"'optimizer.lr=interval\(0,1\)' has no list of values"):
            expanded(["optimizer.lr=interval(0,1)"], {})


@pytest.mark.parametrize("path", ["/a/b-c_1.2", "/my data/x", "/it's", "/a\\", "/a\\'b", "/x=1,(2)[3]{4}", "/ä"])
def test_a_folder_of_any_name_reaches_the_job(path: str) -> None:
    (word,) = filled(["data.root=%data.root%"], {"root": path})
    (parsed,) = OverridesParser.create().parse_overrides([word])
    value = parsed.value()
    assert getattr(value, "text", value) == path


def refine_by(node: dict[str, Any], rule: dict[str, Any]) -> None:
    """Refines a row by a named rule."""
    node.update(refinements={"p": rule})
    node["tables"]["main"]["rows"]["two"]["refine"] = "p"


def of_table(**entries: Any) -> Change:
    return lambda node: node["tables"]["main"].update(entries)


def of_column(**entries: Any) -> Change:
    return lambda node: node["tables"]["main"]["columns"].update(dice={"label": "x", **entries})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda node: node.update(tabels={}), "unknown key 'paper.tabels': did you mean 'tables'?"),
        (lambda node: node.pop("title"), "paper.title is None, but must be text"),
        (lambda node: node.update(studies={}), "paper.studies is {}, but must be a dict with at least one entry"),
        (lambda node: node["studies"].update(one="seed=0"), "paper.studies.one is 'seed=0', but must be a list"),
        (lambda node: node["budgets"]["small"].pop("about"), "paper.budgets.small is missing 'about'"),
        (lambda node: node.update(refine={}), "paper.tables.main refines rows, but paper.refine is empty"),
        (lambda node: node["tables"]["main"]["rows"]["two"].update(refine="x"), "rows.two.refine is 'x'"),
        (lambda node: node.update(refinements=3), "paper.refinements is 3, but must be a dict with at least one entry"),
        (
            lambda node: refine_by(node, {"_target_": "tandem.refine.EmptyByProbability", "cut": -1}),
            "paper.refinements.p: refine.cut is -1, but must be a number above 0",
        ),
        (lambda node: node["figures"].update(main={"table": "mian"}), "paper.figures.main.table is 'mian': did you"),
        (
            lambda node: node["figures"]["main"].update(curves={"kept": {100: "sag"}}),
            "paper.figures.main.curves.kept.100 is 'sag': did you mean 'seg'",
        ),
        (
            lambda node: node["figures"]["main"].update(ranks=True),
            "paper.figures.main.ranks needs the table of a study; leave it out",
        ),
        (
            lambda node: node["tables"].update(grid={"title": "G", "study": "one", "also": ["tow"]}),
            "paper.tables.grid.also is 'tow': there are: one",
        ),
        (
            lambda node: node["figures"]["main"].update(curves={"kept": {"all": "seg"}}),
            "paper.figures.main.curves.kept has the place 'all', but must have numbers",
        ),
        (of_table(baseline="sg"), "paper.tables.main.baseline is 'sg': did you mean 'seg'?"),
        (of_table(rows={"a": {"label": "A", "run": {}}}), "unknown key 'paper.tables.main.rows.a.run': did you mean"),
        (of_table(published={"source": "s", "rows": {"x": {}}}), "paper.tables.main.published.rows is 'x'"),
        (of_table(published={"source": "s", "rows": {"seg": {"y": 1}}}), "published.rows.seg is 'y'"),
        (of_table(rows=3), "paper.tables.main.rows is 3, but must be a dict"),
        (of_column(), "paper.tables.main.columns.dice must have either a metric"),
        (of_column(measure="dise"), "paper.tables.main.columns.dice.measure is 'dise': did you mean 'dice'?"),
        (
            of_column(measure="dice", at=0.4),
            "paper.tables.main.columns.dice.at is 0.4, but must be 0.5, stored or native",
        ),
        (lambda node: node["tables"].update(t={"title": "T", "study": "two"}), "paper.tables.t.study is 'two'"),
    ],
)
def test_what_is_wrong_is_named(paper: Callable[[Change], Paper], change: Change, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        paper(change)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
