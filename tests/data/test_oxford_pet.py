"""Oxford-IIIT Pet in torchvision's layout: breeds, species, trimaps, and the published division."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from PIL import Image

from tandem.data.checks import check_splits
from tandem.data.oxford_pet import OxfordPet
from tandem.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def test_rows_are_those_of_torchvision(trees: Any, tmp_path: Path) -> None:
    source = OxfordPet(str(trees.pets(tmp_path)), size=32)
    splits = source.load()
    check_splits(source.name, splits, source.classes, source.targets)
    known = torchvision.datasets.OxfordIIITPet(str(tmp_path), "test", ("category", "segmentation"))
    assert source.classes == ("Abyssinian", "basset hound", "Bengal")
    assert [name.lower() for name in source.classes] == [name.lower() for name in known.classes]
    test = splits["test"]
    assert len(test) == len(known)
    for row in range(len(known)):
        _, (label, trimap) = known[row]
        place = test.ids.index(known._images[row].stem)
        assert int(test.labels[place]) == label
        meaning = np.array([0, 1, 0, 255], dtype=np.uint8)[np.asarray(trimap)]
        expected = np.asarray(Image.fromarray(meaning).resize((32, 32), Image.Resampling.NEAREST))
        np.testing.assert_array_equal(test.masks[place, 0], expected)


def test_validation_is_carved_out_of_trainval(trees: Any, tmp_path: Path) -> None:
    root = str(trees.pets(tmp_path))
    parts = OxfordPet(root, size=16, classes="species").load()
    assert {split: len(part) for split, part in parts.items()} == {"train": 20, "val": 4, "test": 12}
    anew = OxfordPet(root, size=16, resplit=True, near_duplicates=True).load()
    assert len(anew["test"]) == pytest.approx(36 * 0.15, abs=1)


def test_species(trees: Any, tmp_path: Path) -> None:
    source = OxfordPet(str(trees.pets(tmp_path)), size=16, classes="species")
    assert source.classes == ("cat", "dog")
    test = source.load()["test"]
    for name, label in zip(test.ids, test.labels.tolist(), strict=True):
        assert label == int(name.startswith("basset"))
    with pytest.raises(ConfigError, match=r"data\.classes is 'kind'"):
        OxfordPet("x", classes="kind")


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*given: Any, **named: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", no_network)
    with pytest.raises(DataError, match=r"cannot be downloaded \(no route to host\): download it by hand into"):
        OxfordPet(str(tmp_path), download=True).load()
