"""What an external test may be asked, and the name of its folder."""

from pathlib import Path
from typing import Any

import pytest

from tandem.errors import ConfigError
from tandem.evaluate.external.options import read_other

PHANTOM = {"_target_": "tandem.data.phantom.Phantom", "root": None, "seed": 4}
ASKED: dict[str, Any] = {"split": None, "threshold": "stored", "data": PHANTOM}


def test_an_evaluation_of_the_runs_own_data_is_none() -> None:
    assert read_other({"split": "test", "data": {"root": "elsewhere"}}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None, "classes": {"a": "b"}}, "classes is for a test on other data"),
        ({"data": {"root": None}, "overlap": "drop"}, "overlap is for a test on other data"),
        ({"data": None, "site": "Ulm"}, "site is for a test on other data"),
        ({"overlap": "droop"}, "overlap is 'droop'.*drop"),
        ({"site": " "}, "site is empty"),
        ({"classes": "a"}, "classes is 'a', but must map"),
        ({"threshold": "fit"}, "threshold=fit would fit on the external test"),
        ({"threshold": {"segmentation": "fit"}}, "threshold=fit would fit on the external test"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_other({**ASKED, **changes})


def test_each_set_has_a_folder_of_its_own_and_a_name(tmp_path: Path) -> None:
    sets: list[dict[str, Any]] = [
        {},
        {"data": {**PHANTOM, "seed": 5}},
        {"split": "val"},
        {"site": "a/../b"},
        {"data": {"_target_": "tandem.data.folder.Folder", "name": "folder", "root": str(tmp_path / "Ulm")}},
        {"data": {"_target_": "tandem.data.busi.BUSI", "root": "x/Ulm"}},
    ]
    others = [read_other({**ASKED, **changes}) for changes in sets]
    folders = [other.folder for other in others if other]
    assert len(set(folders)) == len(sets)
    assert all(folder.startswith("external-") and "/" not in folder for folder in folders)
    assert folders[2].startswith("external-phantom-val-")
    assert [other.label for other in others if other] == ["phantom", "phantom", "phantom", "a/../b", "Ulm", "busi Ulm"]
    assert others[0]
    assert "root" not in others[0].node
