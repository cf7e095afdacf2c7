"""Tables as spreadsheets, R, pandas and people write them: right, or one line with the file."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.data.files.missing import MISSING, MissingValues
from tandem.data.folder import Folder
from tandem.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


LABEL = {"image": "image", "label": "label"}


def labels(root: Path, **options: Any) -> dict[str, int]:
    """The number of images of each class of a table; that of images without a label under ''."""
    source = Folder(str(root), table="table.csv", **{"size": 16, "columns": LABEL, "near_duplicates": False, **options})
    found = [label for part in source.load().values() for label in part.labels.tolist()]
    names = [*source.classes, ""]
    return {name: found.count(label) for label, name in zip([*range(len(names) - 1), -100], names, strict=True)}


# -------------------------------------------------------------------------------------------------------------- missing

WORDS = ("nan", "NaN", "NA", "N/A", "n/a", "None", "NULL", "null", "-", "?", "Unknown", "#N/A", "<NA>", " NA ", "")


@pytest.mark.parametrize("word", WORDS)
def test_one_list_of_missing_values_for_all_columns(
    trees: Any, tmp_path: Path, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    def holed(made: Callable[[int], Any]) -> Callable[[int], Any]:
        return lambda n: word if n % 5 == 0 else made(n)

    root = trees.table(
        tmp_path / "mine", 20,
        label=holed(lambda n: trees.classes[n % 2]), mask=holed(lambda n: f"masks/p{n}.png"),
        patient=holed(lambda n: f"q{n // 2}"), cyst=holed(lambda n: n % 2), age=holed(lambda n: n + 30),
    )  # fmt: skip
    columns = {
        **{"image": "image", "label": "label", "masks": "mask", "group": "patient"},
        **{"findings": ["cyst"], "numbers": ["age"]},
    }
    source = Folder(str(root), table="table.csv", size=16, columns=columns, near_duplicates=False)
    parts = list(source.load().values())
    assert source.classes == trees.classes
    assert sum(int((part.labels == -100).sum()) for part in parts) == 4
    assert sum(int((part.masks == 255).flatten(1).all(1).sum()) for part in parts) == 4
    assert sum(int((part.findings == 255).sum()) for part in parts if part.findings is not None) == 4
    assert sum(int(part.columns["age"].isnan().sum()) for part in parts) == 4
    groups = [name for part in parts for name in part.groups]
    alone = [f"images/p{number}" for number in (0, 5, 10, 15)]
    assert all(groups.count(name) == 1 for name in alone)
    spelt = word.strip()
    assert source.notes["missing"] == {name: {spelt: 4} for name in ("mask", "label", "patient", "cyst", "age")}
    if spelt:
        assert f"label 4 ('{spelt}' 4)" in caplog.text
        assert "name it in data.classes or remove it from data.missing" in caplog.text


def test_a_missing_split_is_a_fault(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 8, fold=lambda n: "NA" if n == 2 else "train")
    with pytest.raises(DataError, match="row 3: fold is 'NA': use train, val or test"):
        labels(root, columns={**LABEL, "split": "fold"})


def test_a_word_that_names_a_class_is_a_class(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 24, label=lambda n: ("none", "mild", "severe")[n % 3])
    assert labels(root) == {"mild": 8, "severe": 8, "": 8}
    assert labels(root, classes=["none", "mild", "severe"]) == {"none": 8, "mild": 8, "severe": 8, "": 0}
    assert labels(root, missing=["?"]) == {"mild": 8, "none": 8, "severe": 8, "": 0}


def test_own_words_replace_the_list(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 24, label=lambda n: ("entfällt", "a", "b")[n % 3])
    assert labels(root, missing=["Entfällt"]) == {"a": 8, "b": 8, "": 8}
    with pytest.raises(ConfigError, match=r"data\.missing has nan, but must be a list of words"):
        labels(root, missing=[float("nan")])
    with pytest.raises(ConfigError, match=r"data\.missing is 'NA', but must be a list of words, such as \[NA\]"):
        labels(root, missing="NA")
    assert {"nan", "na", "none", "null", "-", "?", "unknown"} <= set(MISSING)


def test_missing_values_of_tables_of_numbers() -> None:
    values = MissingValues()
    assert [values.clean("age", cell) for cell in ("1.5", "NaN", "-", "-3")] == ["1.5", "", "", "-3"]
    assert values.to_json() == {"age": {"NaN": 1, "-": 1}}


# --------------------------------------------------------------------------------------------------------------- tables


def rewritten(root: Path, change: Any) -> Path:
    """The table of a tree, changed as text or bytes."""
    text = (root / "table.csv").read_text(encoding="utf-8")
    made = change(text)
    (root / "table.csv").write_bytes(made if isinstance(made, bytes) else made.encode())
    return root


def header(old: str, new: str) -> Any:
    return lambda text: text.replace(old, new, 1)


READ: dict[str, Any] = {
    "as it is": lambda text: text,
    "Excel's first line": lambda text: "sep=;\r\n" + text.replace(",", ";"),
    "blanks after commas": lambda text: text.replace(",", ", "),
    "blanks before quotes": lambda text: text.replace(",", '", "').replace("\n", '"\n"')[:-1].join(('"', "")),
    "lines of commas at the end": lambda text: text + ",,\n,,\n",
    "a column without a name": lambda text: text.replace("\n", ",\n"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "carriage returns": lambda text: text.replace("\n", "\r"),
    "backslashes": lambda text: text.replace("images/", "images\\"),
    "a quoted comma in the header of a table of semicolons": lambda text: header(
        "mask", '"age, years, sex, site, mask"'
    )(text.replace(",", ";").replace("mask;", "mask;")),
    "two other columns of one name": lambda text: header("mask", "x,x")(text).replace("masks/", "y,masks/"),
    "names without endings": lambda text: text.replace(".png", ""),
    "names without folders": lambda text: text.replace("images/", "").replace(".png", ".png"),
}


@pytest.mark.parametrize("change", READ.values(), ids=READ.keys())
def test_tables_that_are_read(trees: Any, tmp_path: Path, change: Any) -> None:
    root = trees.table(tmp_path / "mine", 12)
    if change in (READ["names without folders"],):
        for path in (root / "masks").iterdir():
            path.rename(path.with_name(f"m_{path.name}"))
    assert labels(rewritten(root, change)) == {"benign": 6, "malignant": 6, "": 0}


REFUSED: dict[str, tuple[Any, str]] = {
    "two columns of the name": (
        lambda text: header("mask", "mask,label")(text).replace(",masks", ",masks/x,masks"),
        r"table\.csv' has 2 columns named 'label': rename all but one",
    ),
    "another encoding": (lambda text: text.replace("benign", "gutartig·").encode("cp1252"), "not a csv file in UTF-8"),
    "a NUL byte": (
        lambda text: text.replace("p3.png,", "p\0.png,"),
        r"row 4: the path 'images/p\\x00\.png' holds a NUL"),
    "an absolute path of Windows": (
        lambda text: text.replace("images/p3.png", r"C:\data\p3.png"), r"row 4: the path .* leads out of"
    ),
    "another ending": (
        lambda text: text.replace("images/p3.png", "images/p3.tif"),
        r"images/p3\.tif' does not exist, but 'images/p3\.png' does: fix its ending",
    ),
    "a name in two folders": (
        lambda text: text.replace("images/p3.png,", "p3,"),
        r"row 4: 'p3' may be 'images/p3\.png' or 'masks/p3\.png': write one of them",
    ),
    "run lengths": (lambda text: text.replace("masks/p3.png", "1 3 10 5"), r"row 4: mask holds run lengths \(1 3 10 5"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_tables_that_are_refused_in_one_line(trees: Any, tmp_path: Path, change: Any, line: str) -> None:
    root = rewritten(trees.table(tmp_path / "mine", 12), change)
    with pytest.raises(DataError, match=line) as caught:
        labels(root, columns={**LABEL, "masks": "mask"})
    assert len(str(caught.value).splitlines()) == 1


def test_a_name_without_ending_of_two_files_names_both(trees: Any, tmp_path: Path) -> None:
    root = rewritten(trees.table(tmp_path / "mine", 12), lambda text: text.replace(".png", ""))
    trees.save(root / "images" / "p3.jpg", trees.noise(80))
    line = r"'images/p3' may be 'images/p3\.jpg' or 'images/p3\.png': write 'images/p3\.png' \(lossless\) in the table"
    with pytest.raises(DataError, match=line):
        labels(root)
    (root / "images" / "p3.jpg").unlink()
    (root / "images" / "p3.png").rename(root / "images" / "p3.npy")
    with pytest.raises(
        DataError, match=r"'images/p3' is 'images/p3\.npy', whose format is not read: convert it to PNG"
    ):
        labels(root)


def test_a_name_in_the_other_spelling_is_found(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 12, image=lambda n: unicodedata.normalize("NFC", f"images/é{n}.png"))
    for number in range(12):
        (root / "images" / f"p{number}.png").rename(root / "images" / unicodedata.normalize("NFD", f"é{number}.png"))
    assert labels(root) == {"benign": 6, "malignant": 6, "": 0}


def test_linked_folders_and_files_that_are_not_listed(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "mine", 12)
    (root / "images").rename(tmp_path / "store")
    (root / "images").symlink_to(tmp_path / "store", target_is_directory=True)
    trees.save(root / "extra.png", trees.noise(70))
    source = Folder(str(root), table="table.csv", size=16, columns={**LABEL, "masks": "mask"})
    assert sum(map(len, source.load().values())) == 12
    assert [(kind["reason"], kind["first"]) for kind in source.notes["unused"]] == [("not in the table", ["extra.png"])]


@pytest.mark.parametrize(
    ("written", "given"),
    [
        (("0.0", "1.0"), {0: "a", 1: "b"}),
        (("0", "1"), {0.0: "a", 1.0: "b"}),
        (("True", "false"), {True: "a", False: "b"}),
    ],
)
def test_values_of_classes_are_compared_as_values(
    trees: Any, tmp_path: Path, written: tuple[str, str], given: Any
) -> None:
    root = trees.table(tmp_path / "mine", 12, label=lambda n: written[n % 2])
    assert labels(root, classes=given) == {"a": 6, "b": 6, "": 0}


@pytest.mark.parametrize("written", [("benign", "Benign"), ("1", "1.0")])
def test_classes_that_may_be_one_are_a_warning(
    trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, written: tuple[str, str]
) -> None:
    root = trees.table(tmp_path / "mine", 12, label=lambda n: written[n % 2])
    assert len(labels(root)) == 3
    assert caplog.text.count("may be one: if so, set data.classes={") == 1
