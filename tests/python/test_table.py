"""Tables: columns with numbers where all cells are, names as they were, text escaped."""

import math
from pathlib import Path

import pytest

from tandem.errors import DataError
from tandem.python.table import Table, read_table


def test_cells_become_numbers_where_all_of_a_column_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,count,share,empty\n'=x,1,0.5,\nb,2,,\n")
    table = read_table(path, "t")
    assert table["id"] == ["=x", "b"], "as the file was named, not as the spreadsheet's cell"
    assert table["count"] == [1, 2]
    assert table["share"][0] == 0.5
    assert math.isnan(table["share"][1])
    assert all(map(math.isnan, table["empty"]))
    assert table.height == 2
    table["count"].append(3)
    assert table["count"] == [1, 2], "columns are copies"


@pytest.mark.parametrize("content", ["a,b\n1\n", "a,b\n1,2,3\n"])
def test_a_damaged_table_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=r"a\.csv cannot be read as a table"):
        read_table(tmp_path / "a.csv", "t")


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    assert dict(read_table(tmp_path / "a.csv", "t")) == {"a": [], "b": []}


def test_a_notebook_shows_the_first_rows_escaped() -> None:
    shown = Table({"<i>": [f"<{n}>" for n in range(30)], "x": [0.12345] * 30}, "<t>")._repr_html_()
    assert "and 10 more rows" in shown
    assert "&lt;0&gt;" in shown
    assert "<i>" not in shown
    assert "<t>" not in shown
    assert "0.123" in shown
