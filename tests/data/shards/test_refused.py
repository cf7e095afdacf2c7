"""Foreign, damaged, changed and hostile shards: one line each, and nothing in them is run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandem.data.datamodule import DataModule
from tandem.data.files.cache import digest
from tandem.errors import ConfigError, DataError

pytest.importorskip("litdata", reason="the extra streamed is not installed")

Read = Callable[..., DataModule]


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def change(file: Path, make: Callable[[Any], None]) -> None:
    """Changes a JSON file."""
    found = json.loads(file.read_text())
    make(found)
    file.write_text(json.dumps(found))


def sign(root: Path) -> None:
    """Notes the present sizes and digests, as who hands over hostile shards would."""

    def noted(found: Any) -> None:
        for name in found["files"]:
            found["files"][name] = [(root / name).stat().st_size, digest(root / name, name).hex()]

    change(root / "shards.json", noted)


def sign_new(root: Path) -> None:
    """Notes the files that are there now."""
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.parent != root and path.is_file()]
    change(root / "shards.json", lambda found: found.update(files=dict.fromkeys(names)))
    sign(root)


def read_all(read: Read, root: Path, **options: Any) -> None:
    for samples in read(root, **options).splits.values():
        samples.take(range(len(samples)))


def refused(read: Read, root: Path, **options: Any) -> str:
    """The message; also where rows are read only."""
    with pytest.raises((DataError, ConfigError)) as caught:
        read_all(read, root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", ["pickle", "graph:pickle", "graph", "jpeg", "no_header_tensor:11"])
def test_other_rows_than_tensors_are_refused_before_they_are_read(
    written: Path, read: Read, tmp_path: Path, kind: str, signed: bool
) -> None:
    change(written / "train" / "index.json", lambda found: found["config"].update(data_format=[kind, "tensor"]))
    payload = pickle.dumps(Hostile(tmp_path / "run"))
    for shard in (written / "train").glob("*.bin"):
        content = bytearray(shard.read_bytes())
        content[4 * 7 + 8 : 4 * 7 + 8 + len(payload)] = payload
        shard.write_bytes(content)
    if signed:
        sign(written)
    assert f"['{kind}', 'tensor'], which may run code when it is read" in refused(read, written)
    assert not (tmp_path / "run").exists()


def test_litdata_alone_would_run_it(written: Path, read: Read, tmp_path: Path) -> None:
    import litdata
    from litdata.streaming import Cache

    shutil.rmtree(written / "val")
    made = Cache(str(written / "val"), chunk_size=9)
    for row in range(9):
        made[row] = Hostile(tmp_path / "run")
    made.done()
    made.merge()
    sign_new(written)
    assert "has rows of the format ['pickle']" in refused(read, written)
    assert not (tmp_path / "run").exists()
    assert len([litdata.StreamingDataset(str(written / "val"))[0]]) == 1
    assert (tmp_path / "run").exists()


def test_a_pickle_in_the_place_of_a_tensor_is_refused(written: Path, read: Read, tmp_path: Path) -> None:
    shard = written / "val" / "chunk-0-0.bin"
    content, payload = bytearray(shard.read_bytes()), pickle.dumps(Hostile(tmp_path / "run"))
    start = content.index((20).to_bytes(4, "big"))  # the code of 16 bits, where the first row's image begins
    content[start : start + len(payload)] = payload
    shard.write_bytes(content)
    sign(written)
    assert "has no image of shape (2, 12, 12) in row 0" in refused(read, written)
    assert not (tmp_path / "run").exists()


def test_a_pickle_in_the_rows_is_refused(written: Path, read: Read, tmp_path: Path) -> None:
    file = written / "val" / "rows.npz"
    with np.load(file) as found:
        arrays = dict(found)
    arrays["labels"] = np.array([Hostile(tmp_path / "run")] * 9, dtype=object)
    np.savez(file, **arrays)
    sign(written)
    assert "rows.npz is damaged or foreign (Object arrays cannot be loaded" in refused(read, written)
    assert not (tmp_path / "run").exists()


def index(**config: Any) -> Callable[[Any], None]:
    return lambda found: found["config"].update(config)


def first(**chunk: Any) -> Callable[[Any], None]:
    return lambda found: found["chunks"][0].update(chunk)


SPEC = '[1, {"type": "collections.defaultdict", "context": "[\\"os\\", \\"system\\"]", "children_spec": []}]'


@pytest.mark.parametrize(
    ("file", "make", "line"),
    [
        ("train/index.json", index(compression="zstd"), "has {'compression': 'zstd'}, which is not read"),
        ("train/index.json", index(encryption={"algorithm": "fernet"}), "which is not read"),
        ("train/index.json", index(item_loader="TokensLoader"), "'item_loader': 'TokensLoader'"),
        ("train/index.json", index(data_spec=SPEC), "describes other rows than image, mask"),
        ("train/index.json", first(filename="../../x.bin"), "names the shard '../../x.bin', which is no name"),
        ("train/index.json", first(filename=7), "names the shard 7, which is no name"),
        ("train/index.json", first(chunk_size=-1), "says that chunk-0-0.bin has -1 rows"),
        ("train/index.json", first(chunk_size=10**12), "rows"),
        ("train/index.json", first(chunk_bytes=1), "has 1 bytes, but 5 rows have"),
        ("train/index.json", lambda found: found["chunks"].pop(), "lacks or adds train/chunk-0-4.bin"),
        ("train/index.json", lambda found: found.update(chunks=[]), "is not LitData's index of shards"),
        ("train/index.json", lambda found: found.pop("config"), "is not LitData's index of shards"),
        ("shards.json", lambda found: found.update(format=2), "has the format 2, but this version of tandem reads 1"),
        ("shards.json", lambda found: found.pop("format"), "is damaged or foreign"),
        ("shards.json", lambda found: found.update(classes="ab"), "is damaged or foreign ('ab' instead of names)"),
        ("shards.json", lambda found: found.update(size=[0, 12]), "is damaged or foreign"),
        ("shards.json", lambda found: found.update(targets={"nothing": []}), "is damaged or foreign"),
        ("shards.json", lambda found: found["dtypes"].update(val="object"), "pixels of the type object"),
        ("shards.json", lambda found: found["files"].update({"../x": [1, ""]}), "a file outside of the splits"),
        ("shards.json", lambda found: found["rows"].update(train=22), "has 23 rows instead of 22"),
        ("shards.json", lambda found: found.update(channels=1), "says that chunk-0-0.bin has"),
    ],
)
def test_each_damage_is_one_line(written: Path, read: Read, file: str, make: Callable[[Any], Any], line: str) -> None:
    change(written / file, make)
    assert line in refused(read, written)


def test_a_changed_byte_is_found_at_the_next_start_and_a_cut_shard_too(written: Path, read: Read) -> None:
    read(written)
    shard = written / "test" / "chunk-0-0.bin"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert "test/chunk-0-0.bin in " in refused(read, written)
    shard.write_bytes(content[:-1])
    assert "so it is cut off or foreign: copy it again" in refused(read, written)
    shard.unlink()
    assert "cannot be read (No such file or directory): copy the shard again" in refused(read, written)


def test_a_shard_that_changes_after_the_start_is_named(written: Path, read: Read) -> None:
    samples = read(written).splits["test"]
    shard = written / "test" / "chunk-0-0.bin"
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(DataError, match=r"chunk-0-0.bin (has no (image|mask) of shape|does not begin as a shard)"):
        samples.take([0])


def test_a_mask_with_a_value_that_is_no_class_is_refused(written: Path, read: Read) -> None:
    shard = written / "test" / "chunk-0-0.bin"
    content = bytearray(shard.read_bytes())
    content[-1] = 9
    shard.write_bytes(content)
    sign(written)
    assert "holds other values than 0 to 2 and 255 (missing)" in refused(read, written)


def test_places_that_are_no_order_of_the_rows_are_refused(written: Path, read: Read) -> None:
    file = written / "val" / "rows.npz"
    with np.load(file) as found:
        arrays = dict(found)
    np.savez(file, **{**arrays, "place": np.zeros(9, np.int64)})
    sign(written)
    assert "place is no order of the rows" in refused(read, written)
    np.savez_compressed(file, **arrays)
    sign(written)
    assert "a compressed array" in refused(read, written)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"size": 64}, "was written with size=12, but data.size is 64: set data.size=12"),
        ({"fit": "pad"}, "was written with fit=squash, but data.fit is pad: set data.fit=squash"),
        ({"window": "file"}, "was written with window=None, but data.window is file: set data.window=null"),
        ({"shards_at_once": 0}, "data.shards_at_once is 0, but must be a whole number from 1, or null"),
        ({"shards_at_once": True}, "data.shards_at_once is True"),
    ],
)
def test_options_that_contradict_the_shards(written: Path, read: Read, options: Any, line: str) -> None:
    assert line in refused(read, written, **options)


def test_what_is_no_data_set_in_shards(written: Path, read: Read, tmp_path: Path) -> None:
    assert "is not a folder: give the one that was written" in refused(read, tmp_path / "nothing")
    assert "is not a folder: mount it, or copy it to this machine" in refused(read, Path("s3://bucket/set"))
    shutil.copytree(written / "train", tmp_path / "foreign")
    assert "has no shards.json" in refused(read, tmp_path / "foreign")
    (written / "val" / "index.json").unlink()
    assert "index.json is missing: these are not all of the shards" in refused(read, written)
