"""Hashed ids: keyed, the same everywhere, and in no file that a data set leaves but the table beside the key."""

import hashlib
import hmac
import json
import logging
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tandem.audit.audit import audit as inspect
from tandem.data.datamodule import DataModule
from tandem.data.files.ids import Ids, read_ids
from tandem.data.folder import Folder
from tandem.data.splitting.splits import write_splits
from tandem.errors import ConfigError, DataError

NAME = "rosenbaum_greta"


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the key."""
    monkeypatch.setenv("TANDEM_IDS_KEY", str(tmp_path / "own" / "ids.key"))
    return tmp_path / "own" / "ids.key"


def root(tmp_path: Path) -> Path:
    """Images and masks in the folders of their patients, and a file that is not used."""
    for number in range(24):
        place = tmp_path / "d" / "ab"[number % 2] / f"{NAME}{number // 2}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8)).astype("u1")
        Image.fromarray(pixels).save(place / f"{NAME}_{number}.png")
        Image.fromarray((pixels > 200).astype("u1")).save(place / f"{NAME}_{number}_mask.png")
    (tmp_path / "d" / f"{NAME}.npy").write_bytes(b"0")
    return tmp_path / "d"


def source(place: Path, **options: Any) -> Folder:
    given = {"images": "{class}/{group}/{id}", "masks": "{class}/{group}/{id}_mask", "ids": "hashed", **options}
    return Folder(str(place), size=8, cache=str(place.parent / "cache"), **given)


def test_an_id_is_hashed_with_a_key_that_stays(key: Path) -> None:
    ids = read_ids("hashed")
    found = ids.of("p1")
    text = key.read_bytes().strip()
    assert found == hmac.new(text, b"p1", hashlib.sha256).hexdigest()[:16]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(text) == 64
    assert Ids(hashed=True).of("p1") == found
    assert ids.of("") == ""
    assert read_ids("plain").of("p1") == "p1"
    with pytest.raises(ConfigError, match=r"data\.ids is 'hash', but must be plain or hashed"):
        read_ids("hash")


def test_the_rows_of_the_splits_stay_and_their_names_go(
    tmp_path: Path, key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place = root(tmp_path)
    data = DataModule(source(place), None, 4, 0, 0)
    data.setup()
    logged = caplog.text
    assert data.inventory() is None
    plain = source(place, ids="plain").load()
    for split, samples in data.splits.items():
        ids = Ids(hashed=True)
        assert samples.ids == tuple(map(ids.of, plain[split].ids))
        assert samples.groups == tuple(map(ids.of, plain[split].groups))
    write_splits(tmp_path / "splits.csv", data.splits, data.info.classes)
    found = inspect(data.source, data.splits)
    written = [(tmp_path / "splits.csv").read_text(), json.dumps(data.notes), repr(found), logged]
    assert NAME not in "".join(written).replace(str(place), "")
    (table,) = (key.parent / "ids").iterdir()
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    assert f"{data.splits['train'].ids[0]},{plain['train'].ids[0]}" in table.read_text()
    again = source(place, split_file=str(tmp_path / "splits.csv")).load()
    assert {split: samples.ids for split, samples in again.items()} == {
        split: samples.ids for split, samples in data.splits.items()
    }


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_faults_name_images_by_their_hashes(tmp_path: Path, key: Path, on_error: str) -> None:
    place = root(tmp_path)
    (place / "a" / f"{NAME}0" / f"{NAME}_0.png").write_bytes(b"no image")
    read = source(place, on_error=on_error)
    if on_error == "skip":
        read.load()
        lines = "".join(read.skipped)
    else:
        with pytest.raises(DataError) as caught:
            read.load()
        lines = str(caught.value) + "".join(caught.value.faults)  # type: ignore[attr-defined]
    assert "is not an image" in lines
    assert NAME not in lines
    assert Ids(hashed=True).of(f"a/{NAME}0/{NAME}_0") in lines
