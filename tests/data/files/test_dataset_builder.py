"""When the search for near-duplicates runs; it takes long among many images."""

import logging
from typing import Any

import pytest

from tandem.data.files import dataset_builder as filed
from tandem.data.folder import Folder
from tandem.errors import ConfigError


@pytest.mark.parametrize(("setting", "looked_for"), [("auto", False), (True, True), (False, False)])
def test_auto_does_not_look_among_many(
    trees: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, setting: bool | str,
    looked_for: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(filed, "MANY", 15)
    caplog.set_level(logging.INFO)
    root = trees.folders(tmp_path / "mine", 8)
    Folder(str(root), size=16, near_duplicates=setting).load()
    assert ("groups of near-duplicates" in caplog.text) == looked_for
    assert ("set data.near_duplicates=true" in caplog.text) == (setting == "auto")


def test_auto_looks_among_few(trees: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Folder(str(trees.folders(tmp_path / "mine", 8)), size=16).load()
    assert "groups of near-duplicates" in caplog.text


def test_an_unknown_value_is_refused(trees: Any, tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"^data\.near_duplicates is 'perhaps'"):
        Folder(str(trees.folders(tmp_path / "mine", 8)), size=16, near_duplicates="perhaps").load()
