"""What says at once that a command has started: to people alone."""

import io
import sys

import pytest

from tandem.utils.console import announce


@pytest.mark.parametrize("terminal", [True, False])
def test_a_start_is_announced_in_a_terminal_alone(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(said, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setenv("COLUMNS", "40")
    announce("tandem train: experiment=demo \x1b[2J " + "x" * 90)
    lines = said.getvalue().splitlines()
    assert len(lines) == terminal
    assert all(len(line) <= 40 and line.endswith(" ...") and "\x1b" not in line for line in lines)
