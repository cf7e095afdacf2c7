"""Class-balanced sampling: exact shares, no row left out, one order for (seed, epoch), separate random numbers."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.data.datamodule import DataModule
from tandem.data.loading.loading import EpochSampler, loader
from tandem.data.loading.sampling import EPOCHS, ClassSampler, class_shares, quotas, visits_by_class
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError

NAMES = ("normal", "benign", "malignant")


def rows_of(sampler: ClassSampler, epoch: int) -> list[int]:
    """The rows of an epoch's visits, in order."""
    sampler.set_epoch(epoch)
    return [visit % len(sampler) for visit in sampler]


def rare(count: int = 40) -> torch.Tensor:
    """Labels of which two are of class 2, every fourth is missing, and the others are of class 0 and 1."""
    labels = torch.arange(count) % 2
    labels[::4] = -100
    labels[[1, 2]] = 2
    return labels


# --------------------------------------------------------------------------------------------------------------- shares


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 500), st.lists(st.floats(0, 1e3), min_size=1, max_size=8).filter(any))
def test_quotas_sum_up_and_are_less_than_one_away(total: int, shares: list[float]) -> None:
    found = quotas(total, shares)
    assert sum(found) == total
    for quota, share in zip(found, shares, strict=True):
        assert abs(quota - total * share / sum(shares)) < 1 + 1e-6
        assert quota >= 0


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.sampled_from([-100, 0, 1, 2]), min_size=1, max_size=40),
    shares=st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 1000),
)
def test_an_epoch_has_the_shares_that_were_asked_for(
    labels: list[int], shares: list[int], seed: int, epoch: int
) -> None:
    labelled = [label for label in labels if label >= 0]
    wanted = quotas(len(labelled), shares)
    if any(quota and index not in labelled for index, quota in enumerate(wanted)):
        with pytest.raises(DataError, match="but it has no rows"):
            ClassSampler(labels, shares, seed)
        return
    sampler = ClassSampler(labels, shares, seed)
    rows = rows_of(sampler, epoch)
    assert len(rows) == len(sampler) == len(labels)
    found = Counter(labels[row] for row in rows)
    assert [found[index] for index in range(3)] == wanted
    unlabelled = [row for row, label in enumerate(labels) if label < 0]
    assert sorted(row for row in rows if labels[row] < 0) == unlabelled, "each once"


def test_balanced_means_as_many_visits_for_each_class() -> None:
    labels = torch.tensor([0] * 30 + [1] * 9 + [2] * 3)
    rows = rows_of(ClassSampler(labels, [1, 1, 1], seed=0), 0)
    assert Counter(labels[rows].tolist()) == {0: 14, 1: 14, 2: 14}


def test_of_balanced_data_every_row_is_visited_once_with_the_numbers_of_uniform_sampling() -> None:
    labels = torch.arange(12) % 3
    balanced, uniform = ClassSampler(labels, [1, 1, 1], seed=4), EpochSampler(12, seed=4)
    for epoch in range(3):
        balanced.set_epoch(epoch)
        uniform.set_epoch(epoch)
        assert sorted(balanced) == sorted(uniform)


# --------------------------------------------------------------------------------------------------------- over epochs


@pytest.mark.parametrize("shares", [[1.0, 1.0, 1.0], [5.0, 1.0, 2.0], [0.0, 1.0, 3.0]])
def test_no_row_of_a_class_is_ahead_of_another_by_more_than_one_visit(shares: list[float]) -> None:
    labels = rare()
    sampler = ClassSampler(labels, shares, seed=3)
    visits: Counter[int] = Counter()
    for epoch in range(25):
        visits.update(rows_of(sampler, epoch))
        for index, share in enumerate(shares):
            counts = [visits[row] for row in (labels == index).nonzero().flatten().tolist()]
            assert max(counts) - min(counts) <= 1
            assert share > 0 or max(counts) == 0
    assert all(visits[row] == 25 for row in (labels < 0).nonzero().flatten().tolist())


def test_visits_differ_within_and_between_epochs() -> None:
    sampler = ClassSampler(rare(), [1, 1, 1], seed=0)
    seen: list[int] = []
    for epoch in range(30):
        sampler.set_epoch(epoch)
        seen += list(sampler)
    assert len(set(seen)) == len(seen) == 30 * 40
    assert max(seen) >= EPOCHS * 40, "some row came twice in an epoch"


def test_the_order_is_a_function_of_seed_and_epoch_and_leaves_the_random_state_alone() -> None:
    state = torch.random.get_rng_state()

    def order(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(rows_of(ClassSampler(rare(), [1, 2, 3], seed), epoch))

    assert order(1, 2) == order(1, 2)
    assert len({order(seed, epoch) for seed in range(4) for epoch in range(4)}) == 16
    assert torch.equal(torch.random.get_rng_state(), state)


def test_rows_of_a_class_are_shuffled_evenly() -> None:
    labels = [0] * 30 + [1] * 30
    first = np.array([[row for row in rows_of(ClassSampler(labels, [1, 2], s), 0) if row < 30] for s in range(300)])
    assert first.shape == (300, 20)
    counts = np.bincount(first.ravel(), minlength=30)  # each of 30 rows is among the 20 of a seed with p = 2/3
    assert np.abs(counts - 200).max() < 5 * (300 * (2 / 3) * (1 / 3)) ** 0.5


# -------------------------------------------------------------------------------------------------------------- batches


def batches(samples: Samples, epochs: range, workers: int = 0) -> list[Any]:
    made = loader(samples, 4, workers, 0, train=True, shares=[1.0, 1.0, 4.0])
    found = []
    for epoch in epochs:
        sampler: Any = made.sampler
        sampler.set_epoch(epoch)
        found.append(list(made))
    return found


def test_each_visit_of_a_row_has_numbers_of_its_own(tiny_samples: Callable[..., Samples]) -> None:
    (epoch,) = batches(tiny_samples(12), range(1))
    names = [name for batch in epoch for name in batch["id"]]
    draws = {tuple(row) for batch in epoch for row in batch["draw"].tolist()}
    assert max(Counter(names).values()) == 2
    assert len(draws) == len(names) == 12


def test_batches_depend_neither_on_workers_nor_on_a_cut(tiny_samples: Callable[..., Samples]) -> None:
    samples = tiny_samples(12)
    whole = batches(samples, range(3))
    for other in (batches(samples, range(3), workers=2), [None, *batches(samples, range(1, 3))]):
        for one, two in zip(whole[1:], other[1:], strict=True):
            assert two is not None
            for first, second in zip(one, two, strict=True):
                assert first["id"] == second["id"]
                assert all(torch.equal(first[key], second[key]) for key in ("image", "label", "mask", "draw"))


def test_evaluation_is_not_sampled(tiny_samples: Callable[..., Samples]) -> None:
    samples = tiny_samples(7)
    made = loader(samples, 4, 0, 0, train=False, shares=[1.0, 1.0, 4.0])
    assert [name for batch in made for name in batch["id"]] == list(samples.ids)


# ------------------------------------------------------------------------------------------------------------- settings


def test_words_and_lists() -> None:
    assert class_shares("uniform", ()) is None
    assert class_shares("balanced", NAMES) == [1, 1, 1]
    assert class_shares([1, 0, 2.5], NAMES) == [1, 0, 2.5]


@pytest.mark.parametrize(
    ("sampling", "classes", "message"),
    [
        ("balancd", NAMES, "loader.sampling is 'balancd': did you mean 'balanced'"),
        ("balanced", (), "the data have no classes; use uniform"),
        ([1, 2], (), "the data have no classes"),
        ([1, 2], NAMES, r"has 2 weights for 3 classes \(normal, benign, malignant\)"),
        ([1, 2, -1], NAMES, "must be uniform, balanced or a list of weights >= 0"),
        ([1, 2, "3"], NAMES, "must be uniform, balanced or a list"),
        ([1, 2, float("inf")], NAMES, "must be uniform, balanced or a list"),
        ([0, 0, 0], NAMES, "must be uniform, balanced or a list"),
        (2.0, NAMES, "must be uniform, balanced or a list"),
        (None, NAMES, "must be uniform, balanced or a list"),
    ],
)
def test_bad_values_are_refused(sampling: Any, classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        class_shares(sampling, classes)


def test_a_class_that_is_to_be_visited_and_has_no_row_is_named(tiny_samples: Callable[..., Samples]) -> None:
    samples = tiny_samples(2)  # of classes 0 and 1
    with pytest.raises(DataError, match="gives class 'malignant' a share, but has no training images"):
        visits_by_class(samples, [1, 1, 1], NAMES)
    assert visits_by_class(samples, [1, 3, 0], NAMES) == {"normal": 1, "benign": 1, "malignant": 0}


def test_the_data_module_refuses_before_it_reads_and_counts_visits(tiny_source: Any) -> None:
    with pytest.raises(ConfigError, match="has 2 weights for 3 classes"):
        DataModule(tiny_source, None, 4, 0, 0, sampling=[1, 2])
    assert tiny_source.reads == 0
    data = DataModule(tiny_source, None, 4, 0, 0, sampling=[0, 1, 1])
    data.setup()
    assert data.visits() == {"normal": 0, "benign": 7, "malignant": 6}
    assert {int(label) for batch in data.train_dataloader() for label in batch["label"]} == {1, 2}
    uniform = DataModule(tiny_source, None, 4, 0, 0)
    uniform.setup()
    assert uniform.visits() == {}
