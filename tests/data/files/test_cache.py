import io
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tandem.data.files.cache import Arrays, cache_folder, digest, fetch
from tandem.data.loading.storage import Mapped
from tandem.errors import DataError

SHAPES = {"images": (3, 2), "none": (3, 0, 4)}


def make() -> Iterator[Arrays]:
    """Three rows in two parts."""
    yield {"images": np.arange(4, dtype=np.uint8).reshape(2, 2), "none": np.empty((2, 0, 4), np.uint8)}
    yield {"images": np.arange(4, 6, dtype=np.uint8).reshape(1, 2), "none": np.empty((1, 0, 4), np.uint8)}


def fail() -> Iterator[Arrays]:
    raise AssertionError("decoded although it was cached")


def whole() -> Arrays:
    return {"images": np.arange(6, dtype=np.uint8).reshape(3, 2), "none": np.empty((3, 0, 4), np.uint8)}


def right(found: dict[str, Mapped] | None) -> bool:
    """Whether the fetched arrays are those that `make` yields."""
    assert found is not None
    return all(np.array_equal(found[name][...].numpy(), array) for name, array in whole().items())


def test_second_fetch_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.npz"
    assert right(fetch(path, SHAPES, make))
    assert right(fetch(path, SHAPES, fail))
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]


def test_the_file_is_one_that_numpy_reads_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    fetch(path, SHAPES, make)
    with np.load(path, allow_pickle=False) as archive:
        assert set(archive.files) == set(SHAPES)
        np.testing.assert_array_equal(archive["images"], whole()["images"])
    np.savez(path, **whole())  # type: ignore[arg-type]  # the stub mistakes a keyword
    assert right(fetch(path, SHAPES, fail))


def test_no_incomplete_file_is_left_if_decoding_fails(tmp_path: Path) -> None:
    def broken() -> Iterator[Arrays]:
        yield next(make())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path / "a.npz", SHAPES, broken)
    assert list(tmp_path.iterdir()) == []


def damages() -> dict[str, bytes]:
    good, packed, flat, objects, array = (io.BytesIO() for _ in range(5))
    np.savez(good, **whole())  # type: ignore[arg-type]  # the stub mistakes a keyword
    np.savez_compressed(packed, **whole())  # type: ignore[arg-type]
    np.savez(flat, **{**whole(), "images": np.asfortranarray(whole()["images"])})  # type: ignore[arg-type]
    np.savez(objects, images=np.array([[{}]], dtype=object))
    np.save(array, whole()["images"])
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
        "compressed": packed.getvalue(),
        "by columns": flat.getvalue(),
    }


@pytest.mark.parametrize("kind", damages())
def test_a_damaged_file_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(damages()[kind])
    with caplog.at_level(logging.WARNING):
        assert right(fetch(path, SHAPES, make))
    assert "damaged" in caplog.text
    assert right(fetch(path, SHAPES, fail))


def test_arrays_of_another_shape_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=np.zeros((4, 2), dtype=np.uint8), none=whole()["none"])
    assert right(fetch(path, SHAPES, make))


def test_a_folder_that_cannot_be_written_costs_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert fetch(tmp_path / "file" / "a.npz", SHAPES, make) is None
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
    before = digest(one, "a")
    assert digest(one, "a") == before
    assert digest(one, "b") != before
    assert digest(two, "ab") != before
    one.write_bytes(b"b")
    assert digest(one, "a") != before
    with pytest.raises(DataError, match="cannot be read"):
        digest(tmp_path / "absent", "absent")
