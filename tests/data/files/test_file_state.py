"""A start reads every byte of a data set, unless no file was changed since an earlier start read them."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.data.files.cache import digest
from tandem.data.files.file_state import names_below, recall, remember, state_of
from tandem.data.folder import Folder


@pytest.fixture
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test has just made count as unchanged for long."""
    clock = time.time_ns
    monkeypatch.setattr("tandem.data.files.file_state.time.time_ns", lambda: clock() + 3600 * 10**9)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes were read."""
    names: list[str] = []

    def noted(path: Path, name: str) -> bytes:
        names.append(name)
        return digest(path, name)

    monkeypatch.setattr("tandem.data.files.fingerprint.digest", noted)
    return names


def fingerprint(root: Path, cache: Path) -> str:
    source = Folder(str(root), size=16, cache=str(cache))
    source.load()
    assert source.files_fingerprint is not None
    return source.files_fingerprint


@pytest.mark.usefixtures("an_hour_later")
def test_files_that_were_not_touched_are_read_once(trees: Any, tmp_path: Path, read: list[str]) -> None:
    root, cache = trees.folders(tmp_path / "mine", 8), tmp_path / "cache"
    first = fingerprint(root, cache)
    assert len(set(read)) == len(read) == 32
    assert fingerprint(root, cache) == first
    assert len(read) == 32
    trees.save(root / "benign" / "a3.png", trees.noise(99))
    second = fingerprint(root, cache)
    assert second != first
    assert len(read) == 64
    assert fingerprint(root, tmp_path / "other") == second, "what was remembered is what is read"


def test_files_that_were_just_made_are_read_again(trees: Any, tmp_path: Path, read: list[str]) -> None:
    """A further change may get the same timestamp."""
    root = trees.folders(tmp_path / "mine", 8)
    assert fingerprint(root, tmp_path / "cache") == fingerprint(root, tmp_path / "cache")
    assert len(read) == 64
    assert not list((tmp_path / "cache").glob("files-*"))


@pytest.mark.usefixtures("an_hour_later")
def test_an_unreadable_file_is_reported_at_every_start(trees: Any, tmp_path: Path) -> None:
    root, cache = trees.folders(tmp_path / "mine", 9), str(tmp_path / "cache")
    (root / "benign" / "a3.png").unlink()
    (root / "benign" / "a3.png").symlink_to(tmp_path / "nowhere")
    for _ in range(2):
        source = Folder(str(root), size=16, cache=cache, on_error="skip", masks="{class}/{id}_mask")
        source.load()
        assert [line for line in source.skipped if "a3.png" in line and "cannot be read" in line]


def rewritten(path: Path) -> None:
    """The same number of other bytes, with the old mtime, as `touch -r` would set it."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchanged(path: Path) -> None:
    """Another file with the same name, size and mtime."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


@pytest.mark.usefixtures("an_hour_later")
@pytest.mark.parametrize("change", [rewritten, exchanged])
def test_no_change_hides_behind_an_old_time(tmp_path: Path, change: Callable[[Path], None]) -> None:
    files = [tmp_path / name for name in "ab"]
    for file in files:
        file.write_bytes(b"bytes")
    before = state_of(files, tmp_path)
    assert before is not None
    assert state_of(files, tmp_path) == before
    assert state_of(files[::-1], tmp_path) != before
    time.sleep(0.02)  # longer than one tick of the system's clock
    change(files[1])
    assert state_of(files, tmp_path) not in (before, None)


@pytest.mark.usefixtures("an_hour_later")
def test_an_absent_file_has_no_state(tmp_path: Path) -> None:
    assert state_of([tmp_path / "absent"], tmp_path) is None


@pytest.mark.parametrize("text", ["", "0" * 63, "g" * 64, "0" * 64 + "\n" + "0" * 64, "\xe9" * 64])
def test_a_damaged_note_is_none(tmp_path: Path, text: str) -> None:
    note = tmp_path / "note"
    assert recall(note) is None
    remember(note, "0" * 64)
    assert recall(note) == "0" * 64
    note.write_text(text, encoding="latin-1")
    assert recall(note) is None


def test_a_note_that_cannot_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level("INFO"):
        remember(tmp_path / "file" / "note", "0" * 64)
    assert "reads all files again" in caplog.text


@pytest.mark.parametrize("root", [".", "/", "data", "/data/set"])
def test_names_are_those_of_relative_to(root: str) -> None:
    path = Path(root) / "benign" / "benign (1).png"
    assert names_below(Path(root))(path) == str(path.relative_to(root))
