"""Names from files: no paths, no escape sequences, no formulas."""

import csv
import io
import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from tandem.utils.console import PrintableFormatter, escape
from tandem.utils.names import as_cell, from_cell, is_name, printable

EVIL = ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "a\rb", "a\bb", "\u202egnp.exe", "\x00", "\x7f", "\u2028", "\ud800"]


@pytest.mark.parametrize("text", EVIL)
def test_control_characters_are_shown_and_not_obeyed(text: str) -> None:
    shown = printable(f"before {text} after")
    assert all(character.isprintable() for character in shown)
    assert "\\" in shown
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["benign (1)", "Übung/ä.png", "乳腺", "a\tb\nc", "می‌خواهم", ""])
def test_other_text_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("text", EVIL)
def test_log_and_tables_escape_names(text: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "class %s", (text,), None)
    assert PrintableFormatter("%(message)s").format(record) == f"class {printable(text)}"
    table, place = Table("[b]name"), io.StringIO()
    table.add_row(escape(f"{text}[red]"))
    Console(file=place, width=60).print(table)
    assert text not in place.getvalue()
    assert "[red]" in place.getvalue()


@given(st.text())
@example("=1+1")
@example("'=1+1")
@example("''")
@example("@SUM(A1)")
@example("-cmd")
@example("\t=1")
def test_a_cell_is_never_a_formula_and_is_read_back(text: str) -> None:
    cell = as_cell(text)
    assert from_cell(cell) == text
    place = io.StringIO(newline="")
    csv.writer(place).writerow([cell])
    ((back,),) = csv.reader(io.StringIO(place.getvalue(), newline="")) if text else (("",),)
    assert from_cell(back) == text
    if cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        float(cell)


@pytest.mark.parametrize("number", ["-3", "+0.5", "-1e-4", "-inf"])
def test_numbers_stay_numbers(number: str) -> None:
    assert as_cell(number) == number


@pytest.mark.parametrize(
    "text", ["../evil", "a/b", "a\\b", "/etc", "..", ".", "", " a", "a\x1b", "a\nb", "c:d", ".git", "x" * 200, 3, None]
)
def test_a_path_is_no_name(text: object) -> None:
    assert not is_name(text)


@pytest.mark.parametrize("text", ["table", "Dice at 0.5", "ä-1_b", "a..b"])
def test_a_name_is_one(text: str) -> None:
    assert is_name(text)
