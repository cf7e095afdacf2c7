"""The tables as CSV, Markdown and LaTeX: numbers, best in bold, n, and what is not there."""

import csv
import io
import math
from typing import Any

import numpy as np
import pytest

from tandem.study.analysis import analyse
from tandem.study.runs import read_study
from tandem.study.table import Number, ResultTable, to_csv, to_latex, to_markdown
from tandem.study.tables import all_tables, main_table, run_records

GAMMA = "tasks.segmentation.loss.gamma"
DICE = "test/segmentation/dice"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_means_and_deviations_are_those_of_numpy_over_seeds_and_folds(make: Any) -> None:
    rng = np.random.default_rng(0)
    values = {gamma: rng.uniform(0.2, 0.9, 6).tolist() for gamma in (1.0, 2.0)}
    for gamma, dices in values.items():
        for number, dice in enumerate(dices):
            make({GAMMA: gamma, "seed": number // 3, "data.fold": number % 3}, {DICE: dice})
    found = rows_of(to_csv(main_table(analyse(read_study([make.folder])))))
    assert [row[GAMMA].removesuffix(" †") for row in found] == ["1", "2"]
    for row, dices in zip(found, values.values(), strict=True):
        assert float(row[DICE]) == pytest.approx(np.mean(dices))
        assert float(row[f"{DICE}.std"]) == pytest.approx(np.std(dices, ddof=1))
        assert (row["n"], row[f"{DICE}.n"]) == ("6", "6")


def test_unknown_numbers_and_other_metrics_are_told_apart_from_zero(make: Any) -> None:
    make({GAMMA: 1.0, "seed": 0}, {DICE: 0.0})
    make({GAMMA: 1.0, "seed": 1}, {DICE: None})
    make({GAMMA: 2.0, "seed": 0}, {"test/classification/auroc": 0.5})
    make({GAMMA: 2.0, "seed": 1}, {"test/classification/auroc": float("nan"), DICE: "broken"})
    table = main_table(analyse(read_study([make.folder])))
    text = to_markdown(table)
    assert "| 1 | 2 | 0.000 (n=1) | - |" in text
    assert "| 2 | 2 | - | 0.500 (n=1) |" in text
    assert "**" not in text, "one number is not the best of several"


def test_one_run_has_no_deviation_and_no_hyperparameter(make: Any) -> None:
    make({}, {DICE: 0.5})
    text = to_markdown(main_table(analyse(read_study([make.folder]))))
    assert "| all runs | 1 | 0.500 |" in text
    assert "nan" not in text


def test_the_best_is_bold_by_the_direction_of_the_metric(make: Any) -> None:
    for gamma, value in ((1.0, 0.2), (2.0, 0.4), (3.0, 0.4004)):
        make({GAMMA: gamma}, {DICE: value, "test/segmentation/hd95": value, "test/segmentation/threshold": value})
    metrics = [DICE, "test/segmentation/hd95", "test/segmentation/threshold"]
    table = main_table(analyse(read_study([make.folder]), metrics=metrics))
    best = [[entry.best for entry in row if isinstance(entry, Number)][:3] for row in table.rows]
    assert best == [[False, True, False], [True, False, False], [True, False, False]], "what looks equal is equal"
    assert r"$\mathbf{0.400}$" in to_latex(table)


def told(direction: str | None, label: str = "nll") -> dict[str, Any]:
    kept = {"label": label, "direction": direction, "group": "all", "order": 1000, "format": ".3f"}
    return {"quantities": {"classification/nll": {**kept, "at_threshold": False}}}


@pytest.mark.parametrize(("direction", "bold"), [("min", [True, False]), ("max", [False, True]), (None, [False] * 2)])
def test_the_runs_tell_the_direction_and_the_label_of_their_own_metrics(
    make: Any, direction: str | None, bold: list[bool]
) -> None:
    for gamma, value in ((1.0, 0.2), (2.0, 0.4)):
        make({GAMMA: gamma}, {"test/classification/nll": value}, **told(direction, "log <loss>"))
    table = main_table(analyse(read_study([make.folder]), metrics=["test/classification/nll"]))
    assert table.head[-3] == "classification: log <loss>"
    assert [row[-3].best for row in table.rows if isinstance(row[-3], Number)] == bold


@pytest.mark.parametrize("task", ["mae", "loss", "threshold"])
def test_the_name_of_a_task_turns_no_metric_round(make: Any, task: str) -> None:
    for gamma, value in ((1.0, 0.2), (2.0, 0.4)):
        make({GAMMA: gamma, f"tasks.{task}": {}}, {f"test/{task}/dice": value})
    table = main_table(analyse(read_study([make.folder]), metrics=[f"test/{task}/dice"]))
    assert [row[-3].best for row in table.rows if isinstance(row[-3], Number)] == [False, True]


def test_a_run_with_quantities_that_tandem_does_not_write_is_unreadable(make: Any) -> None:
    make({GAMMA: 1.0}, {DICE: 0.5})
    make({GAMMA: 2.0}, {DICE: 0.5}, name="odd", **told("sideways"))
    study = read_study([make.folder])
    assert (len(study.runs), study.unfinished[0].state) == (1, "unreadable")
    assert study.unfinished[0].reason.startswith("results.json: quantities.classification/nll is ")


def test_failed_running_unreadable_and_missing_runs_are_listed(make: Any) -> None:
    make.grid(seeds=2)
    (make.folder / "000000000001" / "results.json").write_text("{ half")
    make.status(make.folder / "f", "failed", (f"{GAMMA}=3",), error="ConfigError: gamma_3 is | too much")
    make.status(make.folder / "r", "running")
    text = to_markdown(main_table(analyse(read_study([make.folder]))))
    assert "failed: f (tasks.segmentation.loss.gamma=3): ConfigError: gamma\\_3 is \\| too much" in text
    assert "running, or killed: r" in text
    assert "unreadable: 000000000001: " in text
    assert "missing: gamma=1, alpha=0.25: seed 0" in text
    records = run_records(analyse(read_study([make.folder])))
    assert [record["state"] for record in records[-3:]] == ["unreadable", "failed", "running"]
    assert records[0] | {"seed": 1, GAMMA: "1", DICE: pytest.approx(0.126)} == records[0]


def test_twenty_seven_cells(make: Any) -> None:
    make.grid(gammas=(1.0, 2.0, 3.0), seeds=1, weights=(0.5, 1.0, 2.0))
    table = all_tables(analyse(read_study([make.folder])))["table"]
    assert len(table.rows) == 27
    assert not any("missing" in note for note in table.notes)


def test_latex_and_markdown_escape_what_means_something_there() -> None:
    hostile = r"a_b & 50% $x$ #1 {y} ^~ \input{z} <script> | `c` *d*" + "\nnext"
    table = ResultTable(hostile, [hostile, "n"], [[hostile, Number(0.5, 0.1)]], [hostile])
    latex = to_latex(table)
    body = latex.split("\\toprule")[1]
    assert r"a\_b \& 50\% \$x\$ \#1 \{y\}" in body
    assert r"\textbackslash{}input" in body
    assert latex.count("\n%") == 1, "a line break in a name ends no comment"
    markdown = to_markdown(table)
    assert "<script>" not in markdown
    assert r"\| \`c\` \*d\* next" in markdown
    assert markdown.count("\n|") == 3


def test_csv_holds_no_formulas() -> None:
    [row] = rows_of(to_csv(ResultTable("t", ["a", "b"], [["=1+1", Number(-0.5)]])))
    assert row == {"a": "'=1+1", "b": "-0.5"}


def test_numbers_as_they_are_read() -> None:
    assert Number(math.nan).text() == "-"
    assert Number(0.0001).text() == "<0.001"
    assert Number(0.5, 0.25, 2, of=3).text() == "0.500 ± 0.250 (n=2)"
    assert to_latex(ResultTable("t", ["a"], [[Number(math.nan)]])).count("--") == 1


def test_latex_is_a_table(make: Any) -> None:
    make.grid(seeds=2)
    latex = to_latex(main_table(analyse(read_study([make.folder]))))
    columns = latex.split("\\begin{tabular}{")[1].split("}")[0]
    lines = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert all(line.count(" & ") + 1 == len(columns) for line in lines)
    assert r"$\mathbf{0.276 \pm 0.001}$" in latex


def test_runs_that_change_one_thing_each_are_grouped_by_what_varies(make: Any) -> None:
    lr, epochs, loss = "optimizer.lr", "trainer.max_epochs", "tasks.segmentation.loss"
    changes: list[dict[str, Any]] = [
        {epochs: 9},
        {lr: 0.01},
        {},
        {loss: {"_target_": "x.Dice"}},
        {lr: 0.1},
        {epochs: 20},
    ]
    for change in changes:
        make(change, {"val/segmentation/dice": 0.5, "test/segmentation/dice": 0.5})
    cells = analyse(read_study([make.folder])).cells
    labels = [cell.label for cell in cells]
    assert labels == ["common setting", "loss=Dice", "lr=0.01", "lr=0.1", "max_epochs=9", "max_epochs=20"]
