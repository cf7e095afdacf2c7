"""Links to folders are followed once, and a loop ends."""

from pathlib import Path

from tandem.utils.walk import files_named, walk


def test_each_folder_is_listed_once_by_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "top" / "sub").mkdir(parents=True)
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "deep" / "x.json").touch()
    (tmp_path / "top" / "a_link").symlink_to(tmp_path / "top" / "sub")
    (tmp_path / "top" / "sub" / "loop").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "away").symlink_to(tmp_path / "far")
    (tmp_path / "top" / "again").symlink_to(tmp_path / "far" / "deep")
    (tmp_path / "top" / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "top" / "sub" / "x.json").touch()
    top = tmp_path / "top"
    found = [str(here.relative_to(top)) for here, *_ in walk(top)]
    assert sorted(found) == [".", "again", "away", "sub"]
    assert len(list(files_named(top, "x.json"))) == 2
    assert [here for here, *_ in walk(tmp_path / "nothing")] == []


def test_removed_names_are_not_entered(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "elsewhere")
    for here, folders, _ in walk(tmp_path / "top"):
        assert here == tmp_path / "top"
        folders.clear()
