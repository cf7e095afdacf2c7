"""Which files of a data set changed, by name, and whether any has changed without reading them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tandem.data.files import file_state
from tandem.data.files.inventory import Inventory, listed, take_inventory
from tandem.data.files.records import Record


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A source of two images in folders and a table."""
    monkeypatch.setattr(file_state, "SETTLED", -1e9)
    for name in ("a/0.png", "b/1.png", "table.csv"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(name.encode())
    root = tmp_path / "data"
    records = [Record(name, root / name) for name in ("a/0.png", "b/1.png")]
    return SimpleNamespace(files_root=root, records=records, lists=(root / "table.csv",), cache=str(tmp_path / "cache"))


def test_changed_added_and_removed_files_are_named(source: Any) -> None:
    before = take_inventory(source)
    assert before is not None
    assert before == Inventory.from_json(before.to_json())
    root = source.files_root
    (root / "table.csv").write_text("other")
    (root / "b/1.png").unlink()
    (root / "a/2.png").write_text("new")
    source.records = [Record("a/0.png", root / "a/0.png"), Record("a/2.png", root / "a/2.png")]
    now = take_inventory(source)
    assert now is not None
    assert before.changes(now) == ["a/2.png", "b/1.png", "table.csv"]
    assert before.changes(before.reread()) == ["b/1.png", "table.csv"]
    assert before.digest() != now.digest()


def test_a_new_file_changes_the_state_and_the_digest_does_not_depend_on_the_place(source: Any, tmp_path: Path) -> None:
    before = take_inventory(source)
    assert before is not None
    state = before.state()
    assert state is not None
    assert before.state() == state
    (source.files_root / "a" / "new.png").write_text("new")
    assert before.state() != state
    source.files_root.rename(tmp_path / "moved")
    assert before.absent()
    moved = tmp_path / "moved"
    source.records = [Record(record.id, moved / record.id) for record in source.records]
    source.files_root, source.lists = moved, (moved / "table.csv",)
    after = take_inventory(source)
    assert after is not None
    assert after.digest() == before.digest()


def test_a_source_that_names_no_files_has_no_inventory() -> None:
    assert take_inventory(SimpleNamespace()) is None
    assert take_inventory(SimpleNamespace(sources={"a": SimpleNamespace()})) is None


@pytest.mark.parametrize(
    ("names", "text"),
    [(["a"], "a"), (["a", "b", "c", "d"], "a, b, c and 1 more file"), (list("abcde"), "a, b, c and 2 more files")],
)
def test_a_few_names_and_the_count(names: list[str], text: str) -> None:
    assert listed(names) == text
