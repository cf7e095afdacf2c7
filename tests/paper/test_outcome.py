"""The direction of a column: that of its metric, whatever the column, the task or the class is called."""

from pathlib import Path

import pytest

from tandem.metrics.catalogue import CATALOGUE, Quantity
from tandem.metrics.stored import as_stored
from tandem.paper.outcome import direction_of
from tandem.paper.plan import Column
from tandem.study.cells import Cell
from tandem.study.runs import Run


def cell(**quantities: Quantity) -> Cell:
    results = {"quantities": {f"age/{name}": as_stored(one) for name, one in quantities.items()}}
    return Cell((), "row", {(("seed", 0),): Run(Path("run"), results, {}, ())})


@pytest.mark.parametrize(
    ("column", "direction"),
    [
        (Column("mae", measure="dice"), "max"), (Column("ACC", metric="test/mae/accuracy"), "max"),
        (Column("sens.", metric="test/birads/recall/threshold"), "max"), (Column("loss", metric="test/loss"), "min"),
        (Column("nll", metric="test/age/nll"), None), (Column("at", metric="test/lesion/threshold"), None),
    ],
)  # fmt: skip
def test_direction_of_a_column(column: Column, direction: str | None) -> None:
    assert direction_of(column, [cell()]) == direction


def test_the_runs_know_their_own_metrics() -> None:
    column = Column("nll", metric="test/age/nll")
    assert direction_of(column, [cell(), cell(nll=Quantity("nll", "min"))]) == "min"
    assert direction_of(column, [cell(nll=Quantity("nll", "max")), cell(nll=Quantity("nll", "min"))]) is None
    assert direction_of(Column("MAE", metric="test/age/mae"), [cell(nll=CATALOGUE["dice"])]) == "min"
