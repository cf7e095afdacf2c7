import io
import logging
import os
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tandem.data.files.cache import Arrays, cache_folder, digest, fetch
from tandem.data.loading.storage import Mapped
from tandem.errors import ConfigError, DataError

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


def test_of_several_one_decodes_and_the_others_wait_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, began, found = tmp_path / "a.npz", threading.Event(), []

    def slow() -> Iterator[Arrays]:
        began.set()
        time.sleep(0.5)
        yield from make()

    def first() -> None:
        found.append(fetch(path, SHAPES, slow))

    with caplog.at_level(logging.INFO):
        other = threading.Thread(target=first)
        other.start()
        assert began.wait(10)
        assert right(fetch(path, SHAPES, fail))
        other.join()
    assert right(found[0])
    assert [f"another process decodes into {path}: waiting for it"] == [each.message for each in caplog.records]
    assert list(tmp_path.iterdir()) == [path]


def test_if_the_one_that_decodes_fails_another_does_it(tmp_path: Path) -> None:
    path, began, errors = tmp_path / "a.npz", threading.Event(), []

    def broken() -> Iterator[Arrays]:
        began.set()
        time.sleep(0.5)
        raise RuntimeError("no memory")
        yield from make()

    def first() -> None:
        try:
            fetch(path, SHAPES, broken)
        except RuntimeError as error:
            errors.append(error)

    other = threading.Thread(target=first)
    other.start()
    assert began.wait(10)
    assert right(fetch(path, SHAPES, make))
    other.join()
    assert len(errors) == 1


def test_the_oldest_give_way_beyond_the_size_unless_used_within_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"busi-{digit * 64}.npz" for digit in "abcd"]
    strange = tmp_path / "dermamnist.npz"
    for age, path in enumerate([*(tmp_path / name for name in names[:3]), strange]):
        path.write_bytes(bytes(1000))
        os.utime(path, (at := time.time() - (3 - age % 3) * 20 * 3600, at))  # 60, 40, 20 hours ago; the last 60
    monkeypatch.setenv("TANDEM_CACHE_GB", "1e-6")
    fetch(tmp_path / names[3], SHAPES, make)
    assert {path.name for path in tmp_path.iterdir()} == {names[2], names[3], strange.name}
    monkeypatch.setenv("TANDEM_CACHE_GB", "much")
    with pytest.raises(ConfigError, match="TANDEM_CACHE_GB is 'much' in the environment, but must be a number of GB"):
        fetch(tmp_path / "a.npz", SHAPES, make)


def test_pages_that_stay_hold_the_same_rows(tmp_path: Path) -> None:
    found = fetch(tmp_path / "a.npz", SHAPES, make)
    assert found is not None
    found["images"].release = False
    picked = found["images"].pick(torch.tensor([2, 0]))
    assert picked[...].tolist() == [[4, 5], [0, 1]]
    assert not picked.release  # type: ignore[attr-defined]
