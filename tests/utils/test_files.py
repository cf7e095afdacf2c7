"""Files are written atomically."""

import json
import math
import os
import struct
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tandem.utils.files import read_json, shortest, write_json, write_text, write_whole


def only(folder: Path) -> list[str]:
    """Names of everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "deeper" / "file.txt"
    write_text(path, "Größe\n")
    assert path.read_bytes() == "Größe\n".encode()
    assert only(path.parent) == ["file.txt"]


def test_line_ends_are_kept_as_they_are(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "1\r\n2\n")
    assert (tmp_path / "a").read_bytes() == b"1\r\n2\n"


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write(file: IO[bytes]) -> None:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"

    write_whole(path, write)
    assert path.read_text() == "new"
    assert only(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("old", ["old", None])
def test_a_crash_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException], old: str | None
) -> None:
    path = tmp_path / "file"
    if old is not None:
        path.write_text(old)

    def crash(file: IO[bytes]) -> None:
        file.write(b"half of the n")
        raise error

    with pytest.raises(error):
        write_whole(path, crash)
    assert only(tmp_path) == ([] if old is None else ["file"])
    assert old is None or path.read_text() == old


def test_a_crash_while_replacing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert only(tmp_path) == ["file"]


def test_a_file_is_synced_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    synced, replaced = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        events.append(f"sync {os.fstat(descriptor).st_size}")
        synced(descriptor)

    def replace(self: Path, target: Path) -> Path:
        events.append("replace")
        return replaced(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    write_text(tmp_path / "file", "12345")
    assert events[:2] == ["sync 5", "replace"]
    assert len(events) == 3, "the folder is synchronised after the rename"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (np.float64("nan"), None),
        ({"a": [1.5, math.nan, {"b": math.inf}]}, {"a": [1.5, None, {"b": None}]}),
        ((1, 2.0, (math.nan,)), [1, 2.0, [None]]),
        ({1: "x", None: True}, {"1": "x", "None": True}),
        ({"ä": "ß"}, {"ä": "ß"}),
        (None, None),
    ],
    ids=str,
)
def test_json_is_strict(tmp_path: Path, value: Any, kept: Any) -> None:
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == kept
    assert read_json(tmp_path / "a.json") == kept
    assert text.endswith("\n")


def test_a_value_that_json_cannot_represent_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == 1
    assert only(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("value", "short"),
    [(0.38999998569488525, 0.39), (0.1, 0.1), (1 / 3, 0.33333334), (0.0, 0.0), (-2.5, -2.5), (1e-8, 1e-8), (7, 7.0)],
)
def test_shortest(value: float, short: float) -> None:
    assert shortest(value) == short


def test_shortest_keeps_what_is_not_finite() -> None:
    assert math.isnan(shortest(math.nan))
    assert shortest(math.inf) == math.inf


def digits(value: float) -> int:
    """Significant digits; the zeros of 1000000000000.0 are none."""
    return len(Decimal(repr(value)).normalize().as_tuple().digits)


@example(999999995904.0)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_shortest_is_the_same_float32_in_fewest_digits(value: float) -> None:
    short = shortest(value)
    assert struct.pack("f", short) == struct.pack("f", value)
    assert shortest(short) == short
    assert digits(short) <= digits(value)
