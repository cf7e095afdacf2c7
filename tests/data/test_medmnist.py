"""MedMNIST: the package's own facts, checked files, weak masks that say so, downloads that are what they should be."""

import hashlib
import io
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.filters import threshold_otsu

from tandem.data import medmnist
from tandem.data.checks import check_splits
from tandem.data.medmnist import MedMNIST, info_table
from tandem.data.otsu import otsu_masks, otsu_thresholds
from tandem.data.samples import SPLITS
from tandem.errors import ConfigError, DataError


def test_every_set_of_the_package_is_known_by_its_flag() -> None:
    table = info_table()
    assert len(table) == 12
    for flag, entry in table.items():
        source = MedMNIST(flag, size=64)
        assert source.channels == entry["n_channels"]
        assert len(source.classes) + len(source.targets.findings) == len(entry["label"])
        assert source.targets.mask_depth == 0
    assert MedMNIST("chestmnist").targets.findings[:2] == ("atelectasis", "cardiomegaly")
    assert MedMNIST("retinamnist").targets.columns == ("grade",)
    assert MedMNIST("organamnist").classes[10] == table["organamnist"]["label"]["10"]


def test_rows_pixels_and_labels_are_those_of_the_file(trees: Any, tmp_path: Path) -> None:
    path = trees.medmnist(tmp_path / "set.npz", channels=3, classes=7)
    source = MedMNIST("dermamnist", file=str(path), verify=False)
    splits = source.load()
    check_splits(source.name, splits, source.classes, source.targets)
    with np.load(path) as archive:
        for split in SPLITS:
            np.testing.assert_array_equal(splits[split].images.permute(0, 2, 3, 1), archive[f"{split}_images"])
            np.testing.assert_array_equal(splits[split].labels, archive[f"{split}_labels"][:, 0])
    assert splits["val"].ids[:2] == ("val/000000", "val/000001")
    assert "mask" not in splits["val"].take([0])


def test_findings_and_grades(trees: Any, tmp_path: Path) -> None:
    path = trees.medmnist(tmp_path / "chest.npz", labels=14)
    chest = MedMNIST("chestmnist", file=str(path), verify=False).load()["train"]
    assert chest.findings is not None
    assert chest.findings.shape == (24, 14)
    assert (chest.labels == -100).all()
    path = trees.medmnist(tmp_path / "retina.npz", channels=3, classes=5)
    retina = MedMNIST("retinamnist", file=str(path), verify=False).load()["train"]
    assert torch.equal(retina.columns["grade"], retina.labels.float())


def test_weak_masks_are_otsu_s_and_say_that_they_are_weak(
    trees: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = trees.medmnist(tmp_path / "set.npz")
    bright = MedMNIST("breastmnist", file=str(path), verify=False, masks="otsu")
    dark = MedMNIST("breastmnist", file=str(path), verify=False, masks="otsu_dark")
    assert "weak" in bright.name
    assert "weak" in dark.targets.mask_channels[0]
    one, other = bright.load()["val"], dark.load()["val"]
    assert torch.equal(one.masks, 1 - other.masks)
    assert "the masks are weak" in caplog.text
    assert torch.equal(one.images, other.images)


@pytest.mark.parametrize("kind", ["noise", "two levels", "skewed"])
def test_thresholds_are_those_of_scikit_image(kind: str) -> None:
    rng = np.random.default_rng(4)
    images = {
        "noise": rng.integers(0, 256, (20, 9, 9)),
        "two levels": rng.choice([40, 200], (20, 9, 9)),
        "skewed": 255 * rng.random((20, 9, 9)) ** 4,
    }[kind].astype(np.uint8)
    found = otsu_thresholds(images)
    for image, level in zip(images, found, strict=True):
        np.testing.assert_array_equal(image > level, image > threshold_otsu(image, nbins=256))


def test_a_flat_image_is_all_of_one_side() -> None:
    flat = np.zeros((2, 1, 4, 4), np.uint8)
    assert not otsu_masks(flat).any()
    assert otsu_masks(flat, dark=True).all()


def test_another_checksum_is_refused_unless_said(trees: Any, tmp_path: Path) -> None:
    path = trees.medmnist(tmp_path / "set.npz")
    with pytest.raises(DataError, match=r"is not the official breastmnist\.npz \(md5 .*data\.verify=false"):
        MedMNIST("breastmnist", file=str(path)).load()
    assert len(MedMNIST("breastmnist", file=str(path), verify=False).load()["train"]) == 24


def test_the_real_rebuilt_file_is_not_the_official_one(shared_data: Path) -> None:
    path = shared_data / "pneumoniamnist_rebuilt.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is absent; set TANDEM_DATA")
    with pytest.raises(DataError, match="not the official"):
        MedMNIST("pneumoniamnist", file=str(path)).load()
    splits = MedMNIST("pneumoniamnist", file=str(path), verify=False).load()
    assert [len(splits[split]) for split in SPLITS] == [4708, 524, 624]


def served(monkeypatch: pytest.MonkeyPatch, content: bytes, md5: str) -> list[str]:
    """A network that gives one file; the addresses that were asked for."""
    asked: list[str] = []

    def answer(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(content)

    table = info_table()
    table["breastmnist"] = {**table["breastmnist"], "MD5": md5}
    monkeypatch.setattr(medmnist, "info_table", lambda: table)
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    return asked


def test_a_file_is_fetched_once_and_checked(trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = trees.medmnist(tmp_path / "set.npz").read_bytes()
    asked = served(monkeypatch, content, hashlib.md5(content, usedforsecurity=False).hexdigest())
    root = tmp_path / "sets"
    for _ in range(2):
        assert len(MedMNIST("breastmnist", root=str(root), download=True).load()["val"]) == 12
    assert len(asked) == 1
    assert asked[0].startswith("https://")
    assert [path.name for path in root.iterdir()] == ["breastmnist.npz"]


def test_a_wrong_answer_is_not_kept(trees: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, b"<html>try later</html>", "0" * 32)
    with pytest.raises(DataError, match="returned a file with the md5"):
        MedMNIST("breastmnist", root=str(tmp_path), download=True).load()
    assert not list(tmp_path.iterdir())

    def no_network(url: str, timeout: float) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    with pytest.raises(DataError, match=r"cannot be downloaded .*no route to host.*give data\.file"):
        MedMNIST("breastmnist", root=str(tmp_path), download=True).load()


def test_without_file_and_download(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"breastmnist_64\.npz' is missing: .*data\.download=true"):
        MedMNIST("breastmnist", size=64, root=str(tmp_path)).load()
    with pytest.raises(DataError, match=r"data\.file='absent\.npz' is not a file"):
        MedMNIST("breastmnist", file="absent.npz").load()


def test_official_splits_can_be_thrown_together(trees: Any, tmp_path: Path) -> None:
    path = str(trees.medmnist(tmp_path / "set.npz"))
    anew = MedMNIST("breastmnist", file=path, verify=False, resplit=True).load()
    assert sum(len(part) for part in anew.values()) == 48
    assert {name.split("/")[0] for name in anew["test"].ids} > {"train"}
    folds = [MedMNIST("breastmnist", file=path, verify=False, folds=4, fold=fold).load()["test"] for fold in range(4)]
    assert len({name for fold in folds for name in fold.ids}) == 48


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flag": "derma"}, r"data\.flag is 'derma': did you mean 'dermamnist'"),
        ({"flag": "organmnist3d"}, r"data\.flag is 'organmnist3d'"),
        ({"flag": "breastmnist", "size": 32}, "exists in 28, 64, 128, 224 pixels only"),
        ({"flag": "breastmnist", "masks": "ostu"}, "did you mean 'otsu'"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MedMNIST(**settings)
