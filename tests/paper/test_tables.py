"""Tables over finished runs: which runs a row is made of, what stands beside it, and what is listed as missing."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tandem.errors import ConfigError, DataError
from tandem.paper.figures import paper_figures, write_figure
from tandem.paper.images import make_images
from tandem.paper.writer import all_tables
from tandem.study.table import Number, ResultTable, to_csv, to_latex, to_markdown

SEG = [("normal", 0, 3, 0, ""), ("benign", 10, 10, 5, ""), ("malignant", 10, 0, 0, "")]
CLS = [("normal", 0, 0, 0, "normal"), ("benign", 0, 0, 0, "benign"), ("malignant", 0, 0, 0, "malignant")]
WRONG = [("normal", 0, 0, 0, "benign"), ("benign", 0, 0, 0, "benign"), ("malignant", 0, 0, 0, "benign")]

Paper = Callable[..., Any]


@pytest.fixture
def made(make: Any) -> Any:
    """Two seeds of each task; the classifier of seed 1 is worse."""
    for seed in (0, 1):
        make.run("seg", seed, SEG, loss=0.4 + 0.2 * seed)
        make.run("cls", seed, [CLS, WRONG][seed])
    return make


def entry(table: ResultTable, row: str, column: str) -> Number:
    """A number of a table."""
    (found,) = [one for one in table.rows if one[0] == row]
    number = found[list(table.head).index(column)]
    assert isinstance(number, Number)
    return number


def test_a_column_may_be_the_time_of_training(made: Any, paper: Paper) -> None:
    def change(node: dict[str, Any]) -> None:
        node["tables"]["main"]["columns"]["time"] = {"label": "s", "metric": "seconds", "digits": 0}

    main = all_tables(paper(change), "small", made.outcome())[0]["main"]
    assert entry(main, "Seg", "s").mean == 2.0
    assert np.isnan(entry(main, "Two", "s").mean), "two networks have no one time"


def test_masks_at_the_size_of_the_files(made: Any, paper: Paper) -> None:
    for file in made.folder.rglob("images.csv"):
        with file.open(newline="") as opened:
            rows = list(csv.DictReader(opened))
        for row in rows if "s.area_true" in rows[0] else ():
            row |= {f"s.{key}_native": str(4 * int(row[f"s.{key}"])) for key in ("area_true", "area_predicted")}
            row["s.intersection_native"] = str(3 * int(row["s.intersection"]))
        with file.open("w", newline="") as opened:
            csv.DictWriter(opened, rows[0]).writeheader()
            csv.DictWriter(opened, rows[0]).writerows(rows)

    def change(node: dict[str, Any]) -> None:
        node["tables"]["main"]["columns"]["native"] = {"label": "files", "measure": "dice", "at": "native"}

    main = all_tables(paper(change), "small", made.outcome())[0]["main"]
    assert entry(main, "Seg", "DSC").mean == pytest.approx(0.5 / 3)
    assert entry(main, "Seg", "files").mean == pytest.approx(2 * 15 / 80 / 3)
    assert any("size of the files" in note for note in main.notes)


def test_numbers_of_rows(made: Any, paper: Paper) -> None:
    tables, verdicts, _ = all_tables(paper(), "small", made.outcome())
    main = tables["main"]
    assert entry(main, "Seg", "DSC").mean == pytest.approx((0 + 0.5 + 0) / 3)
    assert entry(main, "Seg", "loss").mean == pytest.approx(0.5)
    assert entry(main, "Seg", "loss").std == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert entry(main, "Cls", "ACC").mean == pytest.approx((1 + 1 / 3) / 2)
    assert np.isnan(entry(main, "Seg", "ACC").mean), "it predicts no classes"
    # refined, seed 0: (normal: emptied, 1), (benign: .5), (malignant: nothing drawn, so normal, 0)
    # refined, seed 1: (said benign: 0), (.5), (nothing drawn: 0)
    assert entry(main, "Two", "DSC").mean == pytest.approx((1.5 / 3 + 0.5 / 3) / 2)
    assert entry(main, "Two", "ACC").mean == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert np.isnan(entry(main, "Two", "loss").mean), "a logged number is of one network, not refined"
    assert entry(main, "Two", "DSC").best
    assert not entry(main, "Seg", "DSC").best
    assert entry(main, "Seg", "loss").best == entry(main, "Cls", "loss").best, "less is better, and both have .5"
    assert entry(main, "published", "DSC").mean == 0.5
    assert "Budget 'small': no budget at all." in main.notes
    assert [one.words for one in verdicts] == ["not reproduced: lower"]
    assert "1 not reproduced: lower." in tables["published"].notes
    compared = {(row[0], row[1]): row for row in tables["main_comparison"].rows}
    assert compared["DSC", "Two"][2] == 2, "pairs with the same seed"
    for written in (to_csv, to_markdown, to_latex):
        assert all("None" not in written(table) and "nan" not in written(table) for table in tables.values())


def test_what_is_missing_is_listed(made: Any, paper: Paper) -> None:
    gone = made.job("cls", 2)
    failed = made.job("seg", 2)
    folder = made.folder / failed.place
    folder.mkdir()
    (folder / "status.json").write_text(json.dumps({"state": "failed", "error": "ValueError: x", "overrides": []}))
    tables, _, _ = all_tables(paper(), "small", made.outcome())
    assert f"{gone.place} (task=cls seed=2): not run" in tables["main"].notes
    assert f"{failed.place} (task=seg seed=2): failed: ValueError: x" in tables["main"].notes
    assert entry(tables["main"], "Seg", "DSC").n == 2


def test_nothing_finished_is_a_table_of_dashes(make: Any, paper: Paper) -> None:
    for task in ("seg", "cls"):
        make.job(task, 0)
    made = paper()
    tables, verdicts, cells = all_tables(made, "small", make.outcome())
    assert set(tables) == {"main", "published"}, "no comparison"
    assert [one.words for one in verdicts] == ["not run"]
    assert paper_figures(made, make.outcome(), cells) == {}
    assert "| Seg | 0 | - | - | - |" in to_markdown(tables["main"])


def test_rows_of_several_settings_and_of_none_are_refused(made: Any, paper: Paper) -> None:
    def rows(**entries: Any) -> Callable[[dict[str, Any]], object]:
        return lambda node: node["tables"]["main"]["rows"].update(seg={"label": "Seg", **entries})

    for change, said in (
        (rows(runs={"experiment": "tiny"}), "two runs have seed 0"),
        (rows(runs={"tsk": "seg"}), "rows.seg: no run has the key 'tsk': did you mean 'task'?"),
        (rows(runs={"task": "sg"}), "no run has task=sg: did you mean 'seg'?"),
        (lambda node: node["tables"]["main"]["columns"]["loss"].update(metric="test/los"), "did you mean 'test/loss'"),
    ):
        with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
            all_tables(paper(change), "small", made.outcome())


def test_two_networks_must_have_seen_the_same_images(made: Any, make: Any, paper: Paper) -> None:
    make.run("seg", 2, SEG)
    make.run("cls", 2, CLS[:2])
    with pytest.raises(DataError, match=r"rows\.two: the runs to combine were not tested on the same images"):
        all_tables(paper(), "small", made.outcome())


def test_rows_per_image_are_not_made_again(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("tandem.evaluate.command.evaluate_run", lambda settings: asked.append(settings))
    outcome = made.outcome()
    make_images(list(outcome.runs.values()), {"root": "here"})
    assert not asked
    first = next(run for run in outcome.runs.values() if run.tasks == ("seg",))
    file = first.folder / "evaluation" / "test" / "images.csv"
    file.write_text(file.read_text().replace(",0.3,", ",0.5,"))  # evaluated with another threshold meanwhile
    make_images(list(outcome.runs.values()), {"root": "here"})
    assert [(one.run, one.split, one.threshold) for one in asked] == [(first.folder, "test", "stored")]
    assert asked[0].data == {}, "made-up data have no root"


def test_a_study_is_a_table_with_a_row_a_choice_and_a_heat_map(make: Any, paper: Paper) -> None:
    for gamma in (1.0, 2.0):
        for alpha in (0.25, 0.75):
            for seed in (0, 1):
                make.run("seg", seed, [], loss=gamma + alpha + seed / 10, gamma=gamma, alpha=alpha)

    def change(node: dict[str, Any]) -> None:
        grid = {"title": "Grid", "study": "one", "metrics": ["test/loss"], "baseline": ["gamma=1", "alpha=0.25"]}
        node.update(tables={"grid": grid}, figures={"map": {"table": "grid", "heat": ["gamma", "alpha"]}})

    made = paper(change)
    tables, _, cells = all_tables(made, "small", make.outcome())
    assert set(tables) == {"grid", "grid_comparison"}
    assert [row[-3].mean for row in tables["grid"].rows if isinstance(row[-3], Number)] == [1.3, 1.8, 2.3, 2.8]
    for table in tables.values():
        assert "Budget 'small': no budget at all." in table.notes
    figure = paper_figures(made, make.outcome(), cells)["map"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.300", "1.800", "2.300", "2.800"]
    made.figures["map"] = replace(made.figures["map"], heat=["gamma", "alfa"])
    with pytest.raises(ConfigError, match=r"map\.heat has 'alfa', which was not swept: did you mean 'alpha'"):
        paper_figures(made, make.outcome(), cells)


def test_a_table_takes_the_runs_of_further_studies_and_ranks_its_choices(make: Any, paper: Paper) -> None:
    for gamma in (1.0, 2.0, 3.0):
        for seed in (0, 1):
            job = make.run("seg", seed, [], loss=gamma + seed / 10, gamma=gamma)
            if gamma == 3:
                make.jobs[-1] = replace(job, study="two")

    def change(node: dict[str, Any]) -> None:
        grid = {"title": "Grid", "study": "one", "also": ["two"], "metrics": ["test/loss"]}
        node["studies"]["two"] = node["studies"]["one"]
        figures = {"ranks": {"table": "grid", "columns": ["test/loss"], "ranks": True}}
        node.update(tables={"grid": grid}, figures=figures)

    made = paper(change)
    tables, _, cells = all_tables(made, "small", make.outcome())
    assert [row[0] for row in tables["grid"].rows] == ["1", "2", "3"]
    axes = paper_figures(made, make.outcome(), cells)["ranks"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2", "3"], "less loss is better"
    assert "n = 2 seeds and folds" in axes.get_title()


def test_figures_are_the_same_bytes_again(made: Any, paper: Paper, tmp_path: Any) -> None:
    written = []
    for folder in ("a", "b"):
        _, _, cells = all_tables(paper(), "small", made.outcome())
        figures = paper_figures(paper(), made.outcome(), cells)
        written.append([path.read_bytes() for path in write_figure(figures["main"], tmp_path / folder / "main")])
    assert written[0] == written[1]
    assert written[0][0].startswith(b"%PDF")
    assert written[0][1].startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"paper\.figures\.main\.columns has 'dise': did you mean 'dice'"):
        paper_figures(paper(lambda node: node["figures"]["main"].update(columns=["dise"])), made.outcome(), cells)
