import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from tandem.utils.terminal_table import blocks, print_table

HEAD = ["alpha", "weights.segmentation", "val segmentation: Dice (official)", "training time (s)"]
ROWS = [["0.146585", "1.22674", "0.511", "20"], ["0.175457 ≈", "0.4994", "0.504", "14"]]


def printed(width: int, terminal: bool = True, keep: int = 1) -> str:
    table = Table(title="a study")
    for name in HEAD:
        table.add_column(name, justify="right")
    for row in ROWS:
        table.add_row(*row)
    file = io.StringIO()
    print_table(table, Console(file=file, width=width, force_terminal=terminal, color_system=None), keep)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_cell_and_no_word_of_a_heading_is_broken(width: int) -> None:
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    for word in [*(word for name in HEAD for word in name.split()), *(cell for row in ROWS for cell in row)]:
        assert re.search(rf"(?<!\S){re.escape(word)}(?!\S)", text), word


def test_columns_that_do_not_fit_follow_beside_the_first() -> None:
    text = printed(45)
    assert text.count("alpha") == text.count("0.146585") > 1
    assert text.count("a study") == 1


def test_a_wide_terminal_and_a_pipe_get_one_table() -> None:
    assert printed(200).count("alpha") == printed(40, terminal=False).count("alpha") == 1


def test_a_long_text_is_broken_at_spaces() -> None:
    table, file = Table(), io.StringIO()
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_row("share of the pixels that belong to no lesion", "0.51234")
    print_table(table, Console(file=file, width=40, force_terminal=True, color_system=None))
    assert "share of the pixels that" in file.getvalue()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(10, 80), st.integers(0, 4))
def test_blocks_hold_every_column_once_beside_the_first(widths: list[int], room: int, keep: int) -> None:
    found = list(blocks(widths, room, keep))
    kept = list(range(min(keep, len(widths))))
    assert kept + [place for block in found for place in block[len(kept) :]] == list(range(len(widths)))
    for block in found:
        assert block[: len(kept)] == kept
        assert len(block) <= len(kept) + 1 or sum(widths[place] for place in block) <= room
