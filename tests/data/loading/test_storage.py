"""The storage of pixels does not change the training data, and memory does not grow with the data on disk."""

import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tandem.data.datamodule import DataModule
from tandem.data.folder import Folder
from tandem.data.loading import storage
from tandem.data.loading.loading import loader
from tandem.data.loading.storage import Joined, Mapped, Redecoded, Storage, Stored, chunks, free_memory
from tandem.data.samples import SPLITS, Samples, join_samples
from tandem.errors import ConfigError
from tandem.utils.machine import SHARED

WHOLE = np.random.default_rng(0).integers(0, 256, (9, 2, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stored]:
    """The same nine rows, stored in each way."""
    path = tmp_path_factory.mktemp("storage") / "rows"
    path.write_bytes(b"header" + WHOLE.tobytes())
    mapped = Mapped(path, 6, WHOLE.shape)
    halves = [torch.from_numpy(WHOLE[:4]), storage.as_tensor(mapped.pick(torch.arange(4, 9)))]
    return {
        "mapped": mapped,
        "redecoded": Redecoded(lambda rows: WHOLE[rows], np.arange(9), (2, 3)),
        "joined": Joined(halves),
    }


INDICES: dict[str, Any] = {
    "all": ...,
    "one": 3,
    "last": -1,
    "slice": slice(2, 7, 2),
    "list": [5, 0, 5],
    "tensor": torch.tensor([8, 1]),
    "none": torch.tensor([], dtype=torch.int64),
    "mask": torch.arange(9) > 6,
}


@pytest.mark.parametrize("form", ["mapped", "redecoded", "joined"])
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_rows_are_those_of_the_tensor(forms: dict[str, Stored], form: str, index: Any) -> None:
    stored, tensor = forms[form], torch.from_numpy(WHOLE)
    assert torch.equal(stored[index], tensor[index])
    assert (stored.shape, stored.dtype, stored.ndim, len(stored)) == (tensor.shape, tensor.dtype, 3, 9)


@given(picks=st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=12), min_size=1, max_size=3), data=st.data())
def test_a_pick_of_a_pick_equals_that_of_tensors(
    forms: dict[str, Stored], picks: list[list[int]], data: st.DataObject
) -> None:
    for stored in forms.values():
        tensor = torch.from_numpy(WHOLE)
        for pick in picks:
            rows = torch.tensor(pick) % len(tensor)
            stored, tensor = stored.pick(rows), tensor[rows]
        assert torch.equal(stored[...], tensor)


def test_what_is_fetched_may_be_changed(forms: dict[str, Stored]) -> None:
    for stored in forms.values():
        stored[[0, 1]].fill_(7)
        assert torch.equal(stored[...], torch.from_numpy(WHOLE))


def test_another_process_opens_the_file_instead_of_getting_a_copy(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(bytes(10**6))
    mapped = Mapped(tmp_path / "rows", 0, (1000, 1000)).pick(torch.arange(5))
    packed = pickle.dumps(mapped)
    assert len(packed) < 2000
    assert torch.equal(pickle.loads(packed)[...], mapped[...])  # noqa: S301 (what was packed a line above)


def test_chunks_are_all_rows_in_order(monkeypatch: pytest.MonkeyPatch, forms: dict[str, Stored]) -> None:
    monkeypatch.setattr(storage, "CHUNK", 13)
    parts = list(chunks(storage.as_tensor(forms["mapped"])))
    assert [len(part) for part in parts] == [2, 2, 2, 2, 1]
    assert torch.equal(torch.cat(parts), torch.from_numpy(WHOLE))


@pytest.mark.parametrize("limit", [-1, float("inf"), float("nan")])
def test_a_bad_limit_is_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match=r"^data\.memory_gb is .*, but must be a number of GB from 0, or null"):
        Storage(memory_gb=limit)
    assert Storage(memory_gb=1.5).limit == 1.5e9


def test_free_memory_is_limited_by_the_machine_and_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 10**7 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(storage, "CGROUP", tmp_path)
    for name, text in (("max", "5000000\n"), ("current", "4000000\n"), ("stat", "anon 1\ninactive_file 200000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_memory() == 1_200_000
    assert Storage().limit == 600_000


# ------------------------------------------------------------------------------------------------------ a whole source


def same(one: dict[str, Samples], other: dict[str, Samples]) -> bool:
    return all(one[split].fingerprint() == other[split].fingerprint() for split in SPLITS)


def places(splits: dict[str, Samples]) -> set[type]:
    return {type(part) for samples in splits.values() for part in (samples.images, samples.masks)}


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A folder that cannot be written."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "cache"


def test_all_three_places_give_the_same_splits_and_batches(
    trees: Any, tmp_path: Path, blocked: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    root = str(trees.folders(tmp_path / "mine", 12, masked=lambda number: number % 3 > 0))
    memory = Folder(root, size=16).load()
    assert "kept in memory" in caplog.text
    caplog.clear()
    disk = Folder(root, size=16, memory_gb=0).load()
    assert "read from" in caplog.text
    assert "data.memory_gb is 0" in caplog.text
    caplog.clear()
    nowhere = Folder(root, size=16, memory_gb=0, cache=str(blocked)).load()
    assert "DECODED FOR EACH BATCH" in caplog.text
    inside = Folder(root, size=16, cache=str(blocked)).load()
    assert [places(splits) for splits in (memory, disk, nowhere, inside)] == [{Tensor}, {Mapped}, {Redecoded}, {Tensor}]
    monkeypatch.setenv(SHARED, "1")  # as the jobs of a sweep have it
    shared = Folder(root, size=16).load()
    assert "by the processes of this machine together (data.memory_gb" in caplog.text
    assert places(Folder(root, size=16, cache=str(blocked)).load()) == {Tensor}, (
        "without a file there is nothing to share"
    )
    assert places(shared) == {Mapped}
    assert [shared["train"].images.release, disk["train"].images.release] == [False, True]  # type: ignore[attr-defined]
    assert all(same(memory, other) for other in (disk, nowhere, inside, shared))

    def batches(samples: Samples, workers: int = 0) -> list[dict[str, Any]]:
        return [dict(batch) for batch in loader(samples, 5, workers, seed=3, train=True)]

    expected = batches(memory["train"])
    others = (batches(disk["train"]), batches(disk["train"], workers=2), batches(nowhere["train"]))
    for found in (*others, batches(shared["train"])):
        for one, other in zip(expected, found, strict=True):
            assert one["id"] == other["id"]
            assert torch.equal(one["image"], other["image"])
            assert torch.equal(one["mask"], other["mask"])


def test_a_faulty_file_is_left_out_of_the_data_on_disk(trees: Any, tmp_path: Path) -> None:
    root = trees.folders(tmp_path / "mine", 12)
    (root / "benign" / "a3.png").write_bytes(b"no image")
    splits = {}
    for limit in (None, 0):
        source = Folder(str(root), size=16, on_error="skip", memory_gb=limit)
        splits[limit] = source.load()
        assert len(source.skipped) == 1
    assert places(splits[0]) == {Mapped}
    assert same(splits[None], splits[0])


def test_joined_splits_leave_images_where_they_are(trees: Any, tmp_path: Path) -> None:
    root = str(trees.folders(tmp_path / "mine", 12))
    memory, disk = Folder(root, size=16).load(), Folder(root, size=16, memory_gb=0).load()
    whole = join_samples([memory["train"], disk["val"]])
    assert isinstance(whole.images, Joined)
    assert whole.fingerprint() == join_samples([memory["train"], memory["val"]]).fingerprint()
    assert whole.pick([0, len(whole) - 1]).ids == (memory["train"].ids[0], memory["val"].ids[-1])


def growth(work: Callable[[], object]) -> int:
    """Bytes by which the memory of this process grew at the most, mapped files included, while something was done."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the highest value so far
    except OSError:
        pytest.skip("this system does not tell the peak of a process's memory")

    def read(key: str) -> int:
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)]
        return 1024 * int(line.split()[1])

    before = read("VmRSS")
    work()
    return read("VmHWM") - before


def test_memory_does_not_grow_with_the_data_on_disk(tmp_path: Path) -> None:
    """1200 images that are 59 MB decoded: read from files and again from the cache, checked, hashed, visited once."""
    for number in range(1200):
        path = tmp_path / "mine" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number % 251).save(path)

    def visit(limit: float | None) -> None:
        source = Folder(str(tmp_path / "mine"), size=128, channels=3, near_duplicates=False, memory_gb=limit)
        data = DataModule(source, None, 16, 0, 0)
        data.setup()
        data.fingerprint()
        assert sum(len(batch["id"]) for batch in data.train_dataloader()) == 840

    first, again, memory = growth(lambda: visit(0)), growth(lambda: visit(0)), growth(lambda: visit(None))
    assert memory > 55e6
    assert max(first, again) < 50e6  # a few chunks of 4 MB, and what is imported on the way
