"""The order of rows and their random numbers are a function of (seed, epoch, row) only."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.data.batch import Batch
from tandem.data.loading.loading import DRAWS, EpochSampler, VisitDataset, loader
from tandem.data.loading.storage import Shards
from tandem.data.samples import Samples

Make = Callable[..., Samples]


def epochs(samples: Samples, count: int, batch_size: int = 4, workers: int = 0, seed: int = 0) -> Iterator[list[Batch]]:
    """The training batches of some epochs, from one loader."""
    made = loader(samples, batch_size, workers, seed, train=True)
    for epoch in range(count):
        sampler: Any = made.sampler
        sampler.set_epoch(epoch)
        yield list(made)


def names(batches: list[Batch]) -> list[str]:
    return [name for batch in batches for name in batch["id"]]


def draws(batches: list[Batch]) -> dict[str, list[float]]:
    return {name: row.tolist() for batch in batches for name, row in zip(batch["id"], batch["draw"], strict=True)}


# -------------------------------------------------------------------------------------------------------------- sampler


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 60), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 10_000))
def test_every_row_is_visited_once_an_epoch(rows: int, seed: int, epoch: int) -> None:
    sampler = EpochSampler(rows, seed)
    sampler.set_epoch(epoch)
    visits = list(sampler)
    assert len(sampler) == rows
    assert sorted(visits) == list(range(epoch * rows, (epoch + 1) * rows))


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int, noise: int = 0) -> tuple[int, ...]:
        torch.manual_seed(noise)
        sampler = EpochSampler(30, seed)
        sampler.set_epoch(epoch)
        return tuple(visit % 30 for visit in sampler)

    assert order(1, 2) == order(1, 2, noise=7)
    assert len({order(seed, epoch) for seed in range(4) for epoch in range(4)}) == 16


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 60), files=st.integers(1, 9), at_once=st.integers(1, 10), epoch=st.integers(0, 99))
def test_rows_in_shards_are_visited_once_and_some_shards_at_a_time(
    rows: int, files: int, at_once: int, epoch: int
) -> None:
    where = np.arange(rows) % files
    sampler, free = EpochSampler(rows, 3, Shards(where, at_once)), EpochSampler(rows, 3)
    for each in (sampler, free):
        each.set_epoch(epoch)
    visits, anywhere = list(sampler), list(free)
    assert sorted(visits) == sorted(anywhere)
    files = min(files, rows)
    if at_once >= files:
        assert visits == anywhere
    left = [int(where[visit % rows]) for visit in visits]
    while left:  # one stretch after the other: all rows of some files, and of no other
        some = list(dict.fromkeys(left))[:at_once]
        length = sum(map(left.count, some))
        assert set(left[:length]) == set(some)
        left = left[length:]
        assert not set(some) & set(left)


def test_shuffling_leaves_the_global_random_state_alone() -> None:
    state = torch.random.get_rng_state()
    list(EpochSampler(30, 0))
    assert torch.equal(torch.random.get_rng_state(), state)


# -------------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(tiny_samples: Make, workers: int) -> None:
    samples = tiny_samples(11)
    for alone, helped in zip(epochs(samples, 3), epochs(samples, 3, workers=workers), strict=True):
        assert len(alone) == len(helped) == 3
        for one, other in zip(alone, helped, strict=True):
            assert one["id"] == other["id"]
            for key in ("image", "label", "mask", "draw"):
                assert torch.equal(one[key], other[key])


@settings(max_examples=20, deadline=None)
@given(batch_size=st.integers(1, 12), seed=st.integers(0, 5))
def test_numbers_for_augmentation_do_not_depend_on_the_batch_size(batch_size: int, seed: int) -> None:
    images = torch.zeros(12, 1, 2, 2, dtype=torch.uint8)
    samples = Samples(images, torch.zeros(12, dtype=torch.int64), images, tuple(map(str, range(12))))
    whole = [draws(batches) for batches in epochs(samples, 2, batch_size=12, seed=seed)]
    for epoch, batches in enumerate(epochs(samples, 2, batch_size=batch_size, seed=seed)):
        found = draws(batches)
        assert found.items() <= whole[epoch].items()
        assert len(found) >= 11


def test_numbers_differ_between_rows_epochs_and_seeds(tiny_samples: Make) -> None:
    samples = tiny_samples(8)
    seen = {
        tuple(row) for seed in (0, 1) for batches in epochs(samples, 3, seed=seed) for row in draws(batches).values()
    }
    assert len(seen) == 2 * 3 * 8


def test_numbers_are_uniform_in_0_to_1_without_1(tiny_samples: Make) -> None:
    samples = tiny_samples(64)
    numbers = torch.cat([batch["draw"] for batches in epochs(samples, 20, batch_size=64) for batch in batches])
    assert numbers.shape == (20 * 64, DRAWS)
    assert numbers.dtype == torch.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert (numbers.mean(0) - 0.5).abs().max() < 0.04
    assert (numbers.var(0) - 1 / 12).abs().max() < 0.01
    assert (torch.corrcoef(numbers.T) - torch.eye(DRAWS)).abs().max() < 0.12


def test_a_number_that_rounds_to_1_in_single_precision_stays_below(
    tiny_samples: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.setattr("tandem.data.loading.loading.uniform", lambda *_: np.full((1, DRAWS), 1 - 2.0**-53))
    assert VisitDataset(tiny_samples(3), 0, random=True)[0]["draw"].max() < 1


def test_the_order_changes_from_epoch_to_epoch_and_comes_again(tiny_samples: Make) -> None:
    samples = tiny_samples(12)
    first = [names(batches) for batches in epochs(samples, 3)]
    assert first == [names(batches) for batches in epochs(samples, 3)]
    assert all(one != other for one, other in pairwise(first))
    assert first != [names(batches) for batches in epochs(samples, 3, seed=1)]


def test_a_resumed_run_goes_on_with_the_batches_of_an_unbroken_one(tiny_samples: Make) -> None:
    samples = tiny_samples(9)
    unbroken = list(epochs(samples, 4))[3]
    resumed = loader(samples, 4, 0, 0, train=True)
    sampler: Any = resumed.sampler
    sampler.set_epoch(3)
    assert draws(list(resumed)) == draws(unbroken)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("shares", [None, [1.0, 1.0, 1.0]])
def test_a_run_resumed_inside_of_an_epoch_omits_the_batches_that_are_done(
    tiny_samples: Make, workers: int, shares: list[float] | None
) -> None:
    samples = tiny_samples(11)
    unbroken: Any = loader(samples, 4, 0, 0, train=True, shares=shares)
    unbroken.sampler.set_epoch(3)
    resumed: Any = loader(samples, 4, workers, 0, train=True, shares=shares, resume=(3, 1))
    batches = iter(resumed)  # worker processes ask for their first batches before Lightning sets the epoch
    resumed.sampler.set_epoch(3)
    assert draws(list(batches)) == draws(list(unbroken)[1:])
    resumed.sampler.set_epoch(4)
    unbroken.sampler.set_epoch(4)
    assert draws(list(resumed)) == draws(list(unbroken)), "the next epoch is whole"
    assert len(resumed) == len(unbroken)


@pytest.mark.parametrize(
    ("rows", "batch_size", "sizes"),
    [
        (8, 4, [4, 4]),
        (9, 4, [4, 4]),  # a batch of one row cannot be normalised
        (10, 4, [4, 4, 2]),
        (5, 4, [4]),
        (3, 4, [3]),
        (1, 4, [1]),
        (4, 1, [1, 1, 1, 1]),
        (1, 1, [1]),
        (4, 100, [4]),
    ],
)
def test_only_a_last_batch_of_one_row_is_left_out(
    tiny_samples: Make, rows: int, batch_size: int, sizes: list[int]
) -> None:
    made = loader(tiny_samples(rows), batch_size, 0, 0, train=True)
    assert [len(batch["id"]) for batch in made] == sizes
    assert len(made) == len(sizes)


def test_no_row_is_left_out_for_good(tiny_samples: Make) -> None:
    samples = tiny_samples(9)
    missing = [set(samples.ids) - set(names(batches)) for batches in epochs(samples, 40)]
    assert all(len(left) == 1 for left in missing)
    assert len(set.union(*missing)) == 9


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_keeps_the_order_of_the_split_and_every_row(tiny_samples: Make, workers: int) -> None:
    samples = tiny_samples(9)
    made = loader(samples, 4, workers, 0, train=False)
    for _ in range(2):
        batches = list(made)
        assert names(batches) == list(samples.ids)
        assert all("draw" not in batch for batch in batches)
        assert torch.equal(torch.cat([batch["mask"] for batch in batches]), samples.masks)


def test_each_row_keeps_its_own_targets(tiny_samples: Make) -> None:
    samples = tiny_samples(11)
    row_of = {name: row for row, name in enumerate(samples.ids)}
    for batches in epochs(samples, 2):
        for batch in batches:
            rows = [row_of[name] for name in batch["id"]]
            assert torch.equal(batch["label"], samples.labels[rows])
            assert torch.equal(batch["mask"], samples.masks[rows])
            assert torch.equal(batch["image"], samples.images[rows].float() / 255)


def test_one_visit_is_a_batch_of_one(tiny_samples: Make) -> None:
    data = VisitDataset(tiny_samples(5), 0, random=True)
    assert len(data) == 5
    assert torch.equal(data[7]["draw"], data.__getitems__([3, 7])["draw"][1:])
    assert data[7]["id"] == ["train/2"]
    assert not torch.equal(data[7]["draw"], data[2]["draw"])
