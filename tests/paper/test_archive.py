"""One zip: tables can be made from it again; one that was tampered with writes nothing."""

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.errors import DataError
from tandem.paper.archive import open_archive, same_tables, write_archive
from tandem.paper.outcome import read_outcome
from tandem.paper.writer import all_tables
from tandem.study.table import to_markdown

SEG = [("normal", 0, 0, 0, ""), ("benign", 10, 10, 5, "")]


@pytest.fixture
def zipped(make: Any, paper_node: dict[str, Any], tmp_path: Path) -> Path:
    """An archive of two runs, one of them missing."""
    make.run("seg", 0, SEG)
    make.run("cls", 0, [("normal", 0, 0, 0, "normal"), ("benign", 0, 0, 0, "benign")])
    make.job("seg", 1)
    (make.folder / make.jobs[0].place / "best.ckpt").write_text("weights")
    out = tmp_path / "out"
    (out / "tables").mkdir(parents=True)
    (out / "manifest.json").write_text("{}")
    (out / "tables" / "main.md").write_text("x")
    (out / "verify" / "left").mkdir(parents=True)
    write_archive(tmp_path / "a.zip", paper_node, "small", make.outcome(), out)
    return tmp_path / "a.zip"


def test_the_same_runs_come_back(zipped: Path, make: Any, paper: Any, paper_node: Any, tmp_path: Path) -> None:
    node, budget, jobs, folder = open_archive(zipped, tmp_path / "elsewhere")
    assert (node, budget, jobs) == (json.loads(json.dumps(paper_node)), "small", make.jobs)
    now, then = read_outcome(jobs, folder / "runs"), make.outcome()
    assert now.lacking == then.lacking
    for name, table in all_tables(paper(), "small", then)[0].items():
        assert to_markdown(table) == to_markdown(all_tables(paper(), "small", now)[0][name])
    names = zipfile.ZipFile(zipped).namelist()
    assert not [name for name in names if name.endswith(".ckpt") or "verify" in name], "no checkpoint, no scratch"
    assert same_tables(folder, tmp_path / "out") == []
    (tmp_path / "out" / "tables" / "main.md").write_text("y")
    assert same_tables(folder, tmp_path / "out") == ["main.md"]


def test_paths_of_this_machine_stay_here(make: Any, paper_node: Any, tmp_path: Path) -> None:
    make.run("seg", 0, [("normal", 0, 0, 0, "normal")])
    file = make.folder / make.jobs[0].place / "results.json"
    results = json.loads(file.read_text())
    file.write_text(json.dumps({**results, "paths": {"data.root": "/home/someone/data"}}))
    (tmp_path / "out").mkdir()
    write_archive(tmp_path / "a.zip", paper_node, "small", make.outcome(), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert json.loads(archive.read(f"runs/{make.jobs[0].place}/results.json")) == results
        assert not [name for name in archive.namelist() if b"someone" in archive.read(name)]


@pytest.mark.parametrize("below", ["", "quick"])
def test_its_unpacked_folder_is_taken_too(zipped: Path, make: Any, tmp_path: Path, below: str) -> None:
    folder = tmp_path / "mine" / below
    zipfile.ZipFile(zipped).extractall(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    _, budget, jobs, found = open_archive(tmp_path / "mine", tmp_path / "elsewhere")
    assert (budget, jobs, found) == ("small", make.jobs, folder)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="is the archive itself"):
        open_archive(tmp_path / "mine", folder)
    (folder / "runs" / "link.json").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="holds the link"):
        open_archive(folder, tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"is a folder without paper\.json"):
        open_archive(tmp_path / "empty", tmp_path / "elsewhere")


def test_the_same_content_gives_the_same_bytes(zipped: Path, make: Any, paper_node: Any, tmp_path: Path) -> None:
    write_archive(tmp_path / "b.zip", paper_node, "small", make.outcome(), tmp_path / "out")
    assert zipped.read_bytes() == (tmp_path / "b.zip").read_bytes()


def tamper(path: Path, name: str, content: str = "x", link: bool = False) -> Path:
    """Adds a member."""
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777 if link else 0o644) << 16
        archive.writestr(info, content)
    return path


def test_a_run_outside_is_refused(zipped: Path, tmp_path: Path) -> None:
    head = json.loads(zipfile.ZipFile(zipped).read("paper.json"))
    head["jobs"][0]["place"] = "../../secret"
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("paper.json", json.dumps(head))
    with pytest.raises(DataError, match="names a run outside its folder"):
        open_archive(tmp_path / "b.zip", tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: tamper(path, "../evil.json"), "would write outside its folder"),
        (lambda path: tamper(path, "/evil.json"), "would write outside its folder"),
        (lambda path: tamper(path, "runs/link.json", "/etc/passwd", link=True), "holds a link or device"),
        (lambda path: tamper(path, "runs/best.ckpt"), "holds 'runs/best.ckpt', which is not a result file"),
        (lambda path: path.write_bytes(b"PK no zip"), "is not a readable zip file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "is not a readable zip file"),
        (lambda path: path.unlink(), "file not found"),
    ],
)
def test_what_cannot_be_trusted_writes_nothing(
    zipped: Path, tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    change(zipped)
    with pytest.raises(DataError) as error:
        open_archive(zipped, tmp_path / "elsewhere")
    assert said in str(error.value)
    assert not list(tmp_path.rglob("evil*"))
    left = [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]
    assert not left


def test_one_that_is_too_large_or_not_ours_is_refused(
    zipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.md", "x")
    with pytest.raises(DataError, match=r"was not made by reproduce\.py"):
        open_archive(tmp_path / "other.zip", tmp_path / "elsewhere")
    monkeypatch.setattr("tandem.paper.archive.LIMIT", 1000)
    with pytest.raises(DataError, match=r"exceeds .* GB unpacked"):
        open_archive(zipped, tmp_path / "elsewhere")
