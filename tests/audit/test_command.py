"""The command: on small copies of the layouts with faults in them, and on BUSI itself."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.audit import main
from tandem.data.samples import SPLITS
from tandem.data.splitting.duplicates import join
from tandem.data.splitting.splits import read_table

REPOSITORY = Path(__file__).parents[2]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_busi_in_small_with_a_corrupt_file_and_an_image_of_two_classes(
    in_process: Callable[..., Any], busi_tree: Callable[[int], Path], tmp_path: Path, browser_page: Callable[..., Any]
) -> None:
    root = busi_tree(9)
    twin = root / "malignant" / "malignant (2).png"
    for ending in (".png", "_mask.png"):
        source = root / "benign" / f"benign (3){ending}"
        twin.with_name(f"malignant (2){ending}").write_bytes(source.read_bytes())
    broken = root / "normal" / "normal (4).png"
    broken.write_bytes(broken.read_bytes()[:200])
    outcome = in_process(main)("data=busi", f"data.root={root}", "data.groups=none", "data.size=64", "out=found")
    assert outcome.code == 0, outcome.err
    assert "normal (4).png" in outcome.out
    assert "things that cannot be used: 1" in outcome.out
    assert "benign (3) is benign, malignant (2) is malignant" in outcome.out
    folder = tmp_path / "found"
    assert outcome.out.splitlines()[-1] == "found/audit.html"
    assert len(rows(folder / "images.csv")) == 26
    assert len(rows(folder / "file_headers.csv")) == 27
    (pair,) = rows(folder / "alike.csv")
    assert (pair["one"], pair["other"], pair["identical"]) == ("benign (3)", "malignant (2)", "True")
    assert "truncated" in (folder / "faults.txt").read_text()
    assert {"classes.csv", "masks.csv", "files.csv", "sizes_in_pixels.csv"} <= {path.name for path in folder.iterdir()}
    opened = browser_page(folder / "audit.html")
    assert opened.errors == []
    assert opened.badly_shown() == []
    assert opened.page.locator("img.pair").count() == 1
    assert "normal (4).png" in opened.page.locator("details").first.text_content()


def test_names_from_the_data_are_text_and_nothing_else(
    in_process: Callable[..., Any], trees: Any, tmp_path: Path
) -> None:
    root = trees.folders(tmp_path / "set", 8)
    (root / "benign").rename(root / "<b>$x_{")
    first, other = (root / "<b>$x_{" / f"a{number}.png" for number in (0, 1))
    other.write_bytes(first.read_bytes())
    outcome = in_process(main)("data=folder", f"data.root={root}", "data.size=32")
    assert outcome.code == 0, outcome.err
    page = next((tmp_path / "runs" / "audit").glob("folder_root-set_size-32-*/audit.html")).read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;$x_{" in page


def test_files_that_are_not_used_missing_values_and_overlaps_are_reported(
    in_process: Callable[..., Any], trees: Any, tmp_path: Path
) -> None:
    columns = {
        "label": lambda n: "?" if n == 8 else trees.classes[n % 2],
        "fold": lambda n: SPLITS[(n >= 12) + (n >= 16)],
    }
    root = trees.table(tmp_path / "mine", 20, **columns)
    (root / "images" / "p19.png").write_bytes((root / "images" / "p1.png").read_bytes())
    (root / "<b>scan.xcf").write_bytes(b"x")
    (root / "notes.txt").write_text("x")
    settings = ("data.table=table.csv", "data.columns.split=fold", "distance=null", "out=found")
    outcome = in_process(main)("data=folder", f"data.root={root}", *settings)
    assert outcome.code == 0, outcome.err
    for line in (
        "not used: 1 .xcf files, images in a format that is not read, the first: <b>scan.xcf",
        "further files that are not used: 1",
        "missing values: label 1 ('?' 1)",
        "same file, content or group: 1 pairs, the first: images/p1 and images/p19 (same content; all in overlap.csv)",
    ):
        assert line in " ".join(outcome.out.split())
    assert [(row["ending"], row["files"]) for row in rows(tmp_path / "found" / "files_not_used.csv")] == [
        (".xcf", "1"),
        (".txt", "1"),
    ]
    (pair,) = rows(tmp_path / "found" / "overlap.csv")
    assert (pair["one"], pair["split of one"], pair["same"]) == ("images/p1", "train", "content")
    page = (tmp_path / "found" / "audit.html").read_text()
    assert "&lt;b&gt;scan.xcf" in page
    assert "<b>scan" not in page


def test_data_without_files_masks_or_classes(in_process: Callable[..., Any], trees: Any, tmp_path: Path) -> None:
    file = trees.medmnist(tmp_path / "chest.npz", labels=14)
    arguments = ("data=medmnist", "data.flag=chestmnist", f"data.file={file}", "data.verify=false", "distance=null")
    outcome = in_process(main)(*arguments)
    assert outcome.code == 0, outcome.err
    (folder,) = (tmp_path / "runs" / "audit").glob(
        "medmnist_file-chest.npz_flag-chestmnist_verify-false_distance-null-*"
    )
    assert len(rows(folder / "findings.csv")) == 3 * 14
    assert "no search was made" in (folder / "audit.html").read_text()
    assert not (folder / "masks.csv").exists()


def test_an_audit_of_other_data_has_a_folder_of_its_own(
    in_process: Callable[..., Any], trees: Any, tmp_path: Path
) -> None:
    audit = in_process(main)
    for place in ("one/set", "two/set"):
        trees.folders(tmp_path / place, 8)
        assert audit("data=folder", f"data.root={place}").code == 0
    assert audit("data=folder", "data.root=one/set", "data.size=32").code == 0
    assert audit("data=folder", f"data.root={tmp_path / 'one' / 'set'}").code == 0, "the first question again"
    folders = [path.name.rpartition("-")[0] for path in (tmp_path / "runs" / "audit").iterdir()]
    assert sorted(folders) == ["folder_root-set", "folder_root-set", "folder_root-set_size-32"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distance=300"], "distance is 300, but must lie in 0 to 256, or be null"),
        (["correlation=2"], "correlation is 2.0, but must lie in -1 to 1"),
        (["compare_up_to=-1"], "compare_up_to is -1, but must be a number of images from 0"),
        (["images=-1"], "images is -1, but must lie in 0 to 1000"),
        (["data=busi"], "data.root has no value"),
        (["out=file"], "out=file is a file, but must be a folder"),
        (["out=file/in/it"], "out=file/in/it lies below file, which is a file"),
        (["data=busi", "data.root=nowhere"], "data.root='nowhere' is not a folder"),
        (["distanse=3"], "distance"),
        (["-m"], "-m is for training"),
    ],
)
def test_mistakes_are_one_line(
    in_process: Callable[..., Any], tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "file").touch()
    outcome = in_process(main)(*arguments)
    assert outcome.code == 1
    assert message in outcome.error


@pytest.mark.full
def test_real_busi_has_its_known_contradiction_and_near_duplicates(
    in_process: Callable[..., Any], tmp_path: Path
) -> None:
    """6 s on one core, most of it for decoding 780 images and 798 masks."""
    real = Path(os.environ.get("TANDEM_DATA") or REPOSITORY.parent / "shared" / "data") / "busi_256"
    if not real.is_dir():
        pytest.skip(f"the BUSI data set is absent: {real} is not a folder; set TANDEM_DATA")
    outcome = in_process(main)("data=busi", f"data.root={real}", "data.groups=none", "data.size=64", "images=1")
    assert outcome.code == 0, outcome.err
    assert "benign (433) is benign, malignant (145) is malignant" in outcome.out
    folder = next((tmp_path / "runs" / "audit").glob("busi_*"))
    names = [row["id"] for row in rows(folder / "images.csv")]
    assert len(names) == 780
    place = {name: index for index, name in enumerate(names)}
    alike = rows(folder / "alike.csv")
    group = join(len(names), [(place[pair["one"]], place[pair["other"]]) for pair in alike])
    known: dict[str, list[str]] = {}
    for row in read_table(real / "near_duplicates_corr097.csv", ("group", "image")):
        known.setdefault(row["group"], []).append(row["image"].removesuffix(".png"))
    found = [len({group[place[name]] for name in members}) == 1 for members in known.values()]
    assert sum(found) >= 0.95 * len(found)
    assert (alike[0]["one"], alike[0]["other"]) == ("benign (433)", "malignant (145)")
