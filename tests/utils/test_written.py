"""A command replaces only what it wrote itself."""

import json
from pathlib import Path

import pytest

from tandem.errors import ConfigError
from tandem.utils.files import write_text
from tandem.utils.written import MARKER, writing


def write(folder: Path, text: str, command: str = "audit", overwrite: bool = False, name: str = "a/b.txt") -> None:
    with writing(folder, command, overwrite):
        write_text(folder / name, text)


def test_what_a_command_wrote_it_may_write_again(tmp_path: Path) -> None:
    for text in ("one", "two", "two", "three"):
        write(tmp_path, text)
        assert (tmp_path / "a" / "b.txt").read_text() == text


@pytest.mark.parametrize("other", ["a file of someone else", "one of another command", "one that was changed"])
def test_another_file_stays(tmp_path: Path, other: str) -> None:
    file = tmp_path / "a" / "b.txt"
    if other != "a file of someone else":
        write(tmp_path, "mine", command="study" if "another" in other else "audit")
    file.parent.mkdir(exist_ok=True)
    if "another" not in other:
        file.write_text("precious")
    before = file.read_text()
    with pytest.raises(
        ConfigError, match=r"b\.txt exists and was not written by .*; remove it, .* or add overwrite=true$"
    ):
        write(tmp_path, "new")
    assert file.read_text() == before
    write(tmp_path, "new", overwrite=True)
    assert file.read_text() == "new"
    write(tmp_path, "newer")


def test_a_file_is_looked_at_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("precious")
    with pytest.raises(ConfigError, match=r"page\.html exists"), writing(tmp_path, "audit", False, "page.html"):
        pytest.fail("the work began")


def test_a_link_in_the_place_of_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "page.html").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(ConfigError, match=r"page\.html exists"):
        write(tmp_path, "new", name="page.html")
    assert (tmp_path / "precious.txt").read_text() == "precious"


def test_a_kill_between_note_and_file_leaves_a_file_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "one")
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name == "b.txt":
            raise OSError("killed")
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="killed"):
            write(tmp_path, "two")
    write(tmp_path, "three")
    assert (tmp_path / "a" / "b.txt").read_text() == "three"


@pytest.mark.parametrize("marker", ["", "[", "3", "{}", '{"audit": 3}', '{"audit": {"a/b.txt": []}}'])
def test_a_damaged_marker_opens_nothing(tmp_path: Path, marker: str) -> None:
    write(tmp_path, "one")
    (tmp_path / MARKER).write_text(marker)
    with pytest.raises(ConfigError, match="exists and was not written"):
        write(tmp_path, "two")


def test_an_older_page_is_removed_only_if_it_is_the_commands_own(tmp_path: Path) -> None:
    write(tmp_path, "one", name="old.csv")
    (tmp_path / "precious.csv").write_text("precious")
    with writing(tmp_path, "audit", False) as own:
        own.remove(tmp_path / "old.csv")
        own.remove(tmp_path / "precious.csv")
        own.remove(tmp_path / "nothing.csv")
    assert [path.name for path in tmp_path.glob("*.csv")] == ["precious.csv"]
    assert list(json.loads((tmp_path / MARKER).read_text())) == ["audit"]


def test_files_elsewhere_and_later_ones_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for name in ("x.txt", "y.txt"):
        (tmp_path / "other" / name).write_text("old")
    with writing(tmp_path / "mine", "audit", False):
        write_text(tmp_path / "other" / "x.txt", "new")
    write_text(tmp_path / "other" / "y.txt", "new")
    assert (tmp_path / "other" / "x.txt").read_text() == (tmp_path / "other" / "y.txt").read_text() == "new"
