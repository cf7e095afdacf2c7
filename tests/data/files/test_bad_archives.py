"""Archives, MedMNIST files, lists and split files that cannot be used: one clear line each, nothing written."""

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandem.data.busi import BUSI
from tandem.data.files.faults import FaultyDataError
from tandem.data.folder import Folder
from tandem.data.medmnist import MedMNIST
from tandem.data.oxford_pet import OxfordPet
from tandem.errors import DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def zipped(path: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, **entry: Any) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(entry.pop("name"))
        for key, value in entry.items():
            setattr(info, key, value)
        archive.addfile(info)
    return path


def plain(path: Path) -> Path:
    path.write_bytes(b"PK no")
    return path


ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip that climbs": (
        lambda p: zipped(p / "a.zip", {"../evil.png": b"x"}),
        r"would write outside its folder \('\.\./ev",
    ),
    "zip with an absolute name": (lambda p: zipped(p / "a.zip", {"/evil.png": b"x"}), "would write outside its folder"),
    "zip with a drive": (lambda p: zipped(p / "a.zip", {"C:/evil.png": b"x"}), "would write outside its folder"),
    "zip with backslashes": (lambda p: zipped(p / "a.zip", {"..\\evil.png": b"x"}), "would write outside its folder"),
    "tar that climbs": (lambda p: tarred(p / "a.tar.gz", name="x/../../evil.png"), "would write outside its folder"),
    "tar with a link": (
        lambda p: tarred(p / "a.tgz", name="link", type=tarfile.SYMTYPE, linkname=".."),
        "holds a link or device",
    ),
    "tar with a device": (
        lambda p: tarred(p / "a.tar.gz", name="null", type=tarfile.CHRTYPE),
        "holds a link or device",
    ),
    "no zip": (lambda p: plain(p / "a.zip"), r"a\.zip' cannot be unpacked"),
    "no tar": (lambda p: plain(p / "a.tar"), r"a\.tar' cannot be unpacked"),
}


@pytest.mark.parametrize(("make", "line"), ARCHIVES.values(), ids=ARCHIVES.keys())
def test_faults_of_archives(tmp_path: Path, make: Callable[[Path], Path], line: str) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError, match=line):
        Folder(str(path)).load()
    assert not list(tmp_path.rglob("evil*"))
    assert not list((tmp_path / "cache").rglob("*.png"))


# ------------------------------------------------------------------------------------------------------------ MedMNIST


def changed(**arrays: Any) -> Callable[[Path], None]:
    def fault(path: Path) -> None:
        with np.load(path) as archive:
            kept = dict(archive)
        np.savez(path, **{name: array for name, array in {**kept, **arrays}.items() if array is not None})

    return fault


WRONG_LABELS = (np.arange(24)[:, None] % 2).astype(np.uint8)
WRONG_LABELS[[3, 8]] = 2
MEDMNIST: dict[str, tuple[Callable[[Path], object], str]] = {
    "labels out of range": (changed(train_labels=WRONG_LABELS), r"set\.npz', train row 3: label 2 is not in 0 to 1"),
    "a missing array": (changed(val_labels=None), "lacks val_labels: it is not a MedMNIST file"),
    "pickled arrays": (
        changed(train_images=np.array([{}], dtype=object)),
        "is damaged or not an .npz file of plain arrays",
    ),
    "float images": (changed(train_images=np.zeros((24, 28, 28))), "train has images float64"),
    "another size": (changed(test_images=np.zeros((12, 64, 64), np.uint8)), r"test has images uint8 \(12, 64, 64\)"),
    "colours": (changed(test_images=np.zeros((12, 28, 28, 3), np.uint8)), r"\(12, 28, 28, 3\)"),
    "fewer labels": (changed(test_labels=np.zeros((9, 1), np.uint8)), r"labels uint8 \(9, 1\)"),
    "float labels": (changed(test_labels=np.zeros((12, 1))), "labels float64"),
    "a cut file": (lambda path: path.write_bytes(path.read_bytes()[:900]), "is damaged"),
    "another file": (lambda path: path.write_bytes(b"no"), "is damaged"),
}


@pytest.mark.parametrize(("fault", "line"), MEDMNIST.values(), ids=MEDMNIST.keys())
def test_faults_of_medmnist_files(trees: Any, tmp_path: Path, fault: Callable[[Path], object], line: str) -> None:
    path = trees.medmnist(tmp_path / "set.npz")
    fault(path)
    with pytest.raises(DataError, match=line):
        MedMNIST("breastmnist", file=str(path), verify=False).load()


def test_labels_out_of_range_can_be_skipped(trees: Any, tmp_path: Path) -> None:
    path = trees.medmnist(tmp_path / "set.npz")
    changed(train_labels=WRONG_LABELS)(path)
    source = MedMNIST("breastmnist", file=str(path), verify=False, on_error="skip")
    splits = source.load()
    assert len(splits["train"]) == 22
    assert "train/000003" not in splits["train"].ids
    assert len(source.skipped) == 2


# ---------------------------------------------------------------------------------------------------------- other sets


def test_faults_of_the_lists_of_oxford_pet(trees: Any, tmp_path: Path) -> None:
    root = trees.pets(tmp_path)
    path = root / "oxford-iiit-pet" / "annotations" / "trainval.txt"
    lines = path.read_text().splitlines()
    lines[1], lines[2] = "Bengal_3 one 1 1", "Bengal_5 3 3 5"
    lines[4] = lines[4].replace("Abyssinian", "../../Abyssinian")
    path.write_text("\n".join(lines))
    with pytest.raises(FaultyDataError) as caught:
        OxfordPet(str(root), size=16).load()
    assert [f"row {number}: " in line for number, line in zip((2, 3, 5), caught.value.faults, strict=True)] == [
        True
    ] * 3
    assert sum(map(len, OxfordPet(str(root), size=16, on_error="skip").load().values())) == 33
    with pytest.raises(DataError, match=r"does not contain oxford-iiit-pet .* data\.download=true"):
        OxfordPet(str(tmp_path / "absent")).load()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("benign (1),trainn", "puts 'benign \\(1\\)' in split 'trainn'"),
        ("benign (2),val", "lists the id 'benign \\(2\\)' twice"),
        ("benign (99),val", "lists 'benign \\(99\\)', which the data set does not have"),
        ("", "does not list 'benign \\(1\\)': add it"),
    ],
)
def test_faults_of_split_files(busi_tree: Any, tmp_path: Path, line: str, message: str) -> None:
    root, path = busi_tree(4), tmp_path / "splits.csv"
    names = [f"{name} ({n})" for name in ("normal", "benign", "malignant") for n in range(1, 5)]
    rows = [f"{name},train" for name in names if name != "benign (1)"]
    path.write_text("\n".join(["id,split", *rows, line]) + "\n")
    with pytest.raises(DataError, match=message):
        BUSI(str(root), size=16, split_file=str(path)).load()


def test_a_patient_in_two_parts_of_a_published_split(trees: Any, tmp_path: Path) -> None:
    split = ("train", "val", "test", "train", "train")
    root = trees.table(
        tmp_path / "mine", 20, fold=lambda number: split[number // 4], patient=lambda number: f"p{number % 9}"
    )
    columns = {"image": "image", "label": "label", "split": "fold", "group": "patient"}
    source = Folder(str(root), table="table.csv", size=16, columns=columns)
    with pytest.raises(DataError, match=r"'images/p\d+' in train and 'images/p\d+' in val are of the same group 'p\d'"):
        source.load()
