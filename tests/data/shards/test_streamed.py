"""`data=streamed`: the rows of the source that the shards were written from, in their order or shard by shard."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import make_samples

from tandem.data.batch import Batch
from tandem.data.datamodule import DataModule
from tandem.data.loading.loading import loader
from tandem.data.phantom import Phantom
from tandem.data.samples import SPLITS, Samples, describe_split

pytest.importorskip("litdata", reason="the extra streamed is not installed")

Read = Callable[..., DataModule]


def same(one: Any, other: Any) -> bool:
    """Whether two batches are equal, nan as well."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one.nan_to_num(-7), other.nan_to_num(-7))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def batches(samples: Samples, epoch: int = 0, train: bool = True, **options: Any) -> list[Batch]:
    """The batches of an epoch."""
    made = loader(samples, 4, options.pop("workers", 0), 5, train, **options)
    sampler: Any = getattr(made.batch_sampler, "sampler", None)
    if train:
        sampler.set_epoch(epoch)
    return list(made)


@pytest.mark.parametrize("split", SPLITS)
def test_batches_are_those_of_the_source_in_memory(
    everything: DataModule, written: Path, read: Read, split: str
) -> None:
    streamed = read(written, shards_at_once=None)
    for epoch in range(2 if split == "train" else 1):
        one = batches(everything.splits[split], epoch, split == "train")
        assert same(dict(enumerate(one)), dict(enumerate(batches(streamed.splits[split], epoch, split == "train"))))


def test_images_are_the_levels_of_the_source_in_float64(everything: DataModule, written: Path, read: Read) -> None:
    wanted = everything.source.load()["val"].images.numpy().astype(np.float64)
    wanted = ((wanted - 100) / (60_000 - 100)).clip(0, 1)
    found = torch.cat([batch["image"] for batch in batches(read(written).splits["val"], train=False)])
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)


def test_what_is_known_before_and_after_reading_is_that_of_the_source(
    everything: DataModule, written: Path, read: Read
) -> None:
    streamed = read(written)
    assert streamed.info == everything.info
    assert (streamed.levels, streamed.spaced) == (everything.levels, everything.spaced)
    for split, samples in streamed.splits.items():
        assert samples.groups == everything.splits[split].groups
        assert describe_split(split, samples, "abc") == describe_split(split, everything.splits[split], "abc")
    assert streamed.notes["written_from"]["fingerprint"] == everything.fingerprint()


def test_more_shards_than_may_be_open(
    everything: DataModule, written: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.data.shards.row_loader.OPEN", 2)
    order = [0, 22, 11, 5, 16, 0, 21]
    found = read(written).splits["train"].take(order)
    assert same(dict(found), dict(everything.splits["train"].take(order)))


def test_a_source_without_masks_and_one_with_rgb_images(tmp_path: Path, read: Read) -> None:
    from tandem.data.shards.write import write_shards
    from tandem.data.targets import NO_MASKS

    class Plain:
        name, classes, channels, targets = "plain", ("a", "b", "c"), 3, NO_MASKS

        def load(self) -> dict[str, Samples]:
            made = {split: make_samples(9, split, (12, 12), 3) for split in SPLITS}
            return {s: Samples(one.images, one.labels, one.masks[:, :0], one.ids) for s, one in made.items()}

    data = DataModule(Plain(), None, 4, 0, 0)
    data.setup()
    write_shards(data, {"fit": "squash"}, tmp_path / "shards", 0.002)
    streamed = read(tmp_path / "shards")
    assert same(batches(data.splits["test"], train=False)[1], batches(streamed.splits["test"], train=False)[1])
    assert "mask" not in batches(streamed.splits["train"])[0]


# --------------------------------------------------------------------------------------------------------------- order


def shard_of(data: DataModule) -> dict[str, int]:
    samples = data.splits["train"]
    assert samples.shards is not None
    return dict(zip(samples.ids, samples.shards.of_row.tolist(), strict=True))


def test_training_goes_on_to_other_shards_after_all_rows_of_some(written: Path, read: Read) -> None:
    data = read(written, shards_at_once=2)
    where, orders = shard_of(data), []
    assert len(set(where.values())) == 5
    for epoch in range(4):
        names = [name for batch in batches(data.splits["train"], epoch) for name in batch["id"]]
        assert sorted(names) == sorted(where)
        shards = [where[name] for name in names]
        stretches, rest = [], shards
        while rest:
            some = list(dict.fromkeys(rest))[:2]
            length = sum(map(rest.count, some))
            assert set(rest[:length]) == set(some)
            stretches.append(length)
            rest = rest[length:]
        assert len(stretches) == 3
        orders.append(tuple(names))
    assert len(set(orders)) == 4


def test_each_shard_of_training_is_a_sample_of_the_rows(written: Path, read: Read) -> None:
    where = shard_of(read(written))
    assert list(where.values()) != sorted(where.values())


def test_a_resumed_epoch_goes_on_with_the_batches_that_are_left(written: Path, read: Read) -> None:
    samples = read(written, shards_at_once=2).splits["train"]
    whole = batches(samples, 3)
    rest = list(loader(samples, 4, 0, 5, True, resume=(3, 2)))
    assert same(dict(enumerate(rest)), dict(enumerate(whole[2:])))


def test_ranks_share_the_batches_of_one_process(written: Path, read: Read) -> None:
    samples = read(written, shards_at_once=2).splits["train"]
    whole = [batch["id"] for batch in batches(samples)]
    parts = [[batch["id"] for batch in batches(samples, part=(rank, 2))] for rank in (0, 1)]
    assert [one + other for one, other in zip(*parts, strict=True)] == whole


def test_workers_read_the_same_batches(written: Path, read: Read) -> None:
    samples = read(written, shards_at_once=2).splits["train"]
    alone = batches(samples)  # opens the shards in this process first, which the workers must not share
    assert same(dict(enumerate(alone)), dict(enumerate(batches(samples, workers=2))))


def test_balanced_sampling_keeps_its_quotas(written: Path, read: Read) -> None:
    samples = read(written, shards_at_once=2).splits["train"]
    found = torch.cat([batch["label"] for batch in batches(samples, shares=[2.0, 1.0, 0.0])])
    unlabelled = int((samples.labels < 0).sum())
    assert torch.bincount(found[found >= 0], minlength=3).tolist() == [13, 6, 0]
    assert int((found < 0).sum()) == unlabelled == 4


# -------------------------------------------------------------------------------------------------------------- memory


def test_memory_is_that_of_a_batch(tmp_path: Path, read: Read) -> None:
    from tandem.data.shards.write import write_shards

    data = DataModule(Phantom(size=64, train=400, val=12, test=12, seed=3), None, 4, 0, 0)
    data.setup()
    whole = data.splits["train"].images.numel() * 2
    write_shards(data, {}, tmp_path / "shards", 0.1)
    samples = read(tmp_path / "shards", size=64).splits["train"]
    for _ in loader(samples, 4, 0, 0, True):  # opens the shards
        break
    tracemalloc.start()
    for _ in loader(samples, 4, 0, 0, True):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole / 10
