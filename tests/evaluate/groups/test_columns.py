"""Where the value of a column comes from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tandem.data.batch import MISSING_PIXEL
from tandem.data.folder import Folder
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.evaluate.groups.assign import assign
from tandem.evaluate.groups.columns import column_values, lesion_areas, tertiles
from tandem.evaluate.groups.options import Grouping

CLASSES = ("normal", "benign", "malignant")


@pytest.fixture
def samples(tiny_samples: Any) -> Samples:
    """Six images with an age; the last has no label and no mask."""
    made: Samples = tiny_samples(6)
    labels, masks = made.labels.clone(), made.masks.clone()
    labels[5], masks[5] = -100, MISSING_PIXEL
    ages = torch.tensor([30.0, 41, 52, 63, torch.nan, 20])
    return replace(made, labels=labels, masks=masks, columns={"age": ages})


def test_the_class_and_numbers_of_the_data(samples: Samples) -> None:
    assert column_values("class", samples, CLASSES, None, None)[0] == [*CLASSES, *CLASSES[:2], ""]
    assert column_values("age", samples, CLASSES, None, None)[0] == ["30.0", "41.0", "52.0", "63.0", "", "20.0"]
    with pytest.raises(ConfigError, match=r"by names 'aeg'.*did you mean 'age'\?.*or give table=FILE"):
        column_values("aeg", samples, CLASSES, None, None)


@pytest.mark.parametrize("key", ["id", "image"])
def test_a_table_of_its_own(samples: Samples, tmp_path: Path, key: str) -> None:
    names = samples.ids if key == "id" else [f"data/{name.split('/')[1]}.png" for name in samples.ids]
    lines = [f"{key};site", *(f"{name};{site}" for name, site in zip(names, "AABnBA", strict=True))][:-1]
    (tmp_path / "t.csv").write_text("\n".join(lines).replace(";n", ";N/A") + "\n")
    found, place = column_values("site", samples, CLASSES, None, str(tmp_path / "t.csv"))
    assert (found, place) == (["A", "A", "B", "", "B", ""], "t.csv"), "N/A, and an image that is not listed"
    with pytest.raises(DataError, match="lacks the column"):
        column_values("scanner", samples, CLASSES, None, str(tmp_path / "t.csv"))
    (tmp_path / "t.csv").write_text("id,site\nelsewhere,A\n")
    with pytest.raises(DataError, match="names none of the images, such as 'train/0'"):
        column_values("site", samples, CLASSES, None, str(tmp_path / "t.csv"))


def test_the_table_that_the_data_were_read_from(trees: Any, tmp_path: Path) -> None:
    root = trees.table(tmp_path / "set", scanner=lambda number: ("A", "B", "unknown")[number % 3])
    source = Folder(str(root), table="table.csv", size=16, near_duplicates=False, cache=str(tmp_path / "cache"))
    for part in source.load().values():
        found, _ = column_values("scanner", part, source.classes, source, None)
        assert found == [("A", "B", "")[int(name.rpartition("p")[2]) % 3] for name in part.ids]
    with pytest.raises(ConfigError, match="did you mean 'scanner'"):
        column_values("scaner", part, source.classes, source, None)


def test_areas_of_lesions_are_shares_of_known_pixels(samples: Samples) -> None:
    masks = samples.masks.clone()
    masks[1, 0, 4:] = MISSING_PIXEL
    areas = lesion_areas(replace(samples, masks=masks))
    expected = [
        np.nan if (mask == 255).all() else float((mask == 1).sum()) / float((mask != 255).sum())
        for mask in masks[:, 0].numpy()
    ]
    assert areas == pytest.approx(expected, nan_ok=True)
    assert areas[1] == 2 / 32


def test_bands_of_lesions_are_thirds_of_the_training_lesions(samples: Samples, tiny_samples: Any) -> None:
    train = tiny_samples(12)
    low, high = tertiles(np.array([0.0, np.nan, *np.linspace(0.01, 0.3, 30)]))
    lesions = np.linspace(0.01, 0.3, 30)
    assert ((lesions < low).sum(), (lesions >= high).sum()) == (10, 10), "images without a lesion do not count"
    assert tertiles(np.array([0.0, 0.1, 0.1])) == ()
    (groups,) = assign([Grouping("lesion_area")], samples, CLASSES, None, None, train)
    assert groups.of.tolist()[0] == "no lesion"
    assert groups.of.tolist()[5] == "missing"
    assert groups.names[0] == "no lesion"
    assert "thirds of the lesions in the run's training data" in groups.note
    with pytest.raises(ConfigError, match=r"training data, which are not here.*by=lesion_area:0\.05,0\.1"):
        assign([Grouping("lesion_area")], samples, CLASSES, None, None, None)
    given = assign([Grouping("lesion_area", (0.05,))], samples, CLASSES, None, None, None)[0]
    assert set(given.names) <= {"no lesion", "< 0.05", ">= 0.05", "missing"}
