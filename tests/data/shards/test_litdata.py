"""The shards are LitData's: its own dataset reads them, with its own serializers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tandem.data.datamodule import DataModule
from tandem.data.shards.index import begins, read_index
from tandem.data.shards.manifest import read_manifest
from tandem.data.shards.pixels import ShardedPixels

litdata = pytest.importorskip("litdata", reason="the extra streamed is not installed")


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of LitData's own reader
@pytest.mark.parametrize("split", ["train", "test"])
def test_litdata_reads_the_same_pixels(
    everything: DataModule, written: Path, read: Callable[..., DataModule], split: str
) -> None:
    theirs, ours = litdata.StreamingDataset(str(written / split)), read(written).splits[split]
    images, masks = ours.images, ours.masks
    assert isinstance(images, ShardedPixels)
    assert len(theirs) == len(ours)
    for row, place in enumerate(images.rows.tolist()):
        found = theirs[place]
        assert torch.equal(found["image"], everything.splits[split].images[row])
        assert torch.equal(found["mask"], masks[row])


def test_a_shard_has_the_bytes_that_its_layout_says(written: Path) -> None:
    layout = read_manifest(written).layout("train")
    shards = read_index(written / "train", layout)
    assert begins(shards).tolist() == [0, 5, 10, 15, 20, 23]
    for name, rows in shards.items():
        content = (written / "train" / name).read_bytes()
        assert len(content) == layout.shard(rows)
        assert content.startswith(layout.head(rows))
        assert content[layout.begin("mask") + 4 * (rows + 2) :].startswith(layout.fields["mask"].head)


def test_reading_writes_nothing_beside_the_shards(written: Path, read: Callable[..., DataModule]) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    read(written).splits["train"].take([0, 7])
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before
