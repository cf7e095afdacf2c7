"""The figures of docs/benchmarks.md are those of results/bench; a record is read as it was written."""

import json
import math
from pathlib import Path

import pytest
from tests.benchmarks import page, record
from tests.benchmarks.harness import growth, not_measured, paired, show, slope
from tests.docs.pages import REPOSITORY

RECORDS = sorted((REPOSITORY / "results" / "bench").glob("*.json"))
PAGE = REPOSITORY / "docs" / "benchmarks.md"


def cells(text: str) -> list[list[str]]:
    """The rows of all tables of a page that have a ratio."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [
        [one.replace("\\", "").replace("&lt;", "<").strip(" |") for one in line] for line in lines if len(line) >= 4
    ]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_page_shows_what_the_record_holds(path: Path) -> None:
    """Read without the code that writes the page."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    part = PAGE.read_text(encoding="utf-8").partition(f"\n## {path.stem}\n")[2].partition("\n## ")[0]
    shown = cells(part)
    assert len(shown) == len(whole["rows"]) + 2
    for row, line in zip(whole["rows"], shown[2:], strict=True):
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        assert line[:4] == [row["what"], row["ours"], row["peer"], ratio]
        if row["pairs"]:
            assert line[4] == f"[{row['low']:.2f}, {row['high']:.2f}]"
            assert row["low"] <= row["ratio"] <= row["high"]
            assert row["pairs"] >= 9
        assert row["bar"] in line or not row["bar"]
    for fact in (whole["date"], whole["machine"]["processor"], whole["versions"]["torch"]):
        assert fact in part


def test_the_page_is_the_one_that_is_made() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page.rendered(text, page.records(record.FOLDER)) == text


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [
        paired("an epoch", "by hand", [1.0, 2.0, 1.0] * 4, [1.1, 2.0, 0.9] * 4, 0.97),
        growth("rows", [(10, 1.0), (1000, 100.0)], "s", 1.1),
        not_measured("an epoch", "MONAI", "is not installed"),
    ]
    path = record.write("some", "A title_1.", rows, 3.2, record.circumstances(1), tmp_path)
    about, again = record.read(path)
    assert about["machine"]["cores"] >= 1
    assert again[:2] == rows[:2]
    assert math.isnan(again[2].ratio)
    assert not again[2].measured
    made = page.rendered(f"by hand\n{page.BEGIN}\nearlier\n{page.END}\nbelow\n", [path])
    assert "| an epoch | 1 s | by hand 1.1 s | 1.00 | \\[0.90, 1.10\\] | 12 | >= 0.97 | holds |" in made
    assert made.startswith("by hand\n")
    assert made.endswith("below\n")
    assert "earlier" not in made
    drawn = {name: page.svg(figure) for name, figure in page.charts(path).items()}
    assert set(drawn) == {"bench_some.svg", "bench_some_curves.svg"}
    assert "an epoch" in drawn["bench_some.svg"]
    assert page.svg(page.charts(path)["bench_some.svg"]) == drawn["bench_some.svg"]
    with pytest.raises(ValueError, match="lacks"):
        page.rendered("no marks", [path])


def test_exponents(capsys: pytest.CaptureFixture[str]) -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    square = growth("pairs", [(n, 3e-6 * n**2) for n in (10, 100, 1000)], "s", 1.1)
    assert square.ratio == pytest.approx(2)
    assert not square.holds
    assert not show("growth", [square])
    assert "missed" in capsys.readouterr().out
    assert growth("rows", [(n, 2.0 * n) for n in (10, 100)], "s", 1.1).holds
