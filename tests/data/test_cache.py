import io
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

from tandem.data.cache import Arrays, cache_folder, digest, fetch
from tandem.errors import DataError

SHAPES = {"images": (3, 2)}


def make() -> Arrays:
    return {"images": np.arange(6, dtype=np.uint8).reshape(3, 2)}


def fail() -> Arrays:
    raise AssertionError("decoded although it was cached")


def test_second_fetch_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npz"
    np.testing.assert_array_equal(fetch(path, SHAPES, make)["images"], make()["images"])
    np.testing.assert_array_equal(fetch(path, SHAPES, fail)["images"], make()["images"])
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]


def damages() -> dict[str, bytes]:
    good, objects, array = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(good, images=make()["images"])
    np.savez(objects, images=np.array([[{}]], dtype=object))
    np.save(array, make()["images"])
    content = good.getvalue()
    flipped = bytearray(content)
    flipped[content.index(bytes(range(6)))] ^= 1
    return {
        "empty": b"",
        "text": b"no archive",
        "cut": content[:-40],
        "flipped": bytes(flipped),
        "objects": objects.getvalue(),
        "pickle": pickle.dumps({"images": 1}),
        "npy": array.getvalue(),
    }


@pytest.mark.parametrize("kind", damages())
def test_a_damaged_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(damages()[kind])
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(fetch(path, SHAPES, make)["images"], make()["images"])
    assert "damaged" in caplog.text
    fetch(path, SHAPES, fail)


def test_arrays_of_another_shape_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=np.zeros((4, 2), dtype=np.uint8))
    assert fetch(path, SHAPES, make)["images"].shape == (3, 2)


def test_a_folder_that_cannot_be_written_costs_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert fetch(tmp_path / "file" / "a.npz", SHAPES, make)["images"].shape == (3, 2)
    assert len(caplog.records) == 1
    assert "data.cache" in caplog.text


def test_the_folder_is_the_given_then_the_environment_then_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", "from_environment")
    assert cache_folder("given") == Path("given")
    assert cache_folder(None) == Path("from_environment")
    monkeypatch.delenv("TANDEM_CACHE")
    assert cache_folder(None) == Path("~/.cache/tandem").expanduser()


def test_digest_depends_on_name_and_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "ab"
    one.write_bytes(b"bc")
    two.write_bytes(b"c")
    before = digest(one, tmp_path)
    assert digest(one, tmp_path) == before
    assert digest(two, tmp_path) != before
    one.write_bytes(b"b")
    assert digest(one, tmp_path) != before
    with pytest.raises(DataError, match="cannot be read"):
        digest(tmp_path / "absent", tmp_path)
