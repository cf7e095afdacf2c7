"""Fewer targets for training: which images keep theirs, what is left out, and that nothing else changes."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tandem.data.datamodule import DataModule
from tandem.data.loading.crops import Squares, Whole
from tandem.data.loading.kept_targets import KeptTargets
from tandem.data.loading.storage import Redecoded, as_tensor
from tandem.data.phantom import Phantom
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError

COUNT = 90


@pytest.fixture(scope="module")
def train() -> Samples:
    return Phantom(size=32, train=COUNT, val=6, test=6, seed=1).load()["train"]


def masked(samples: Samples) -> Tensor:
    return (samples.masks[...] != 255).flatten(1).all(1)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("what", ["masks", "labels"])
def test_each_class_keeps_its_share(train: Samples, what: str, share: float) -> None:
    kept = (KeptTargets(masks=share) if what == "masks" else KeptTargets(labels=share)).apply(train, seed=0)
    has = masked(kept) if what == "masks" else kept.labels != -100
    for label in range(3):
        members = train.labels == label
        count = int(members.sum())
        assert int(has[members].sum()) == (max(1, round(share * count)) if share else 0)
    other = kept.labels != -100 if what == "masks" else masked(kept)
    assert other.all()
    assert torch.equal(kept.images, train.images)
    assert kept.ids == train.ids


def test_what_is_kept_is_unchanged(train: Samples) -> None:
    kept = KeptTargets(masks=0.3, labels=0.4).apply(train, seed=2)
    has_mask, has_label = masked(kept), kept.labels != -100
    assert torch.equal(kept.masks[has_mask], train.masks[has_mask])
    assert (kept.masks[~has_mask] == 255).all()
    assert torch.equal(kept.labels[has_label], train.labels[has_label])
    assert not torch.equal(has_mask, has_label)


def test_a_larger_share_keeps_the_same_and_more(train: Samples) -> None:
    shares = (0.1, 0.25, 0.5, 1.0)
    kept = [masked(KeptTargets(masks=share).apply(train, seed=3)) for share in shares]
    for smaller, larger in pairwise(kept):
        assert (larger | ~smaller).all()


def test_another_seed_keeps_others(train: Samples) -> None:
    draws = [masked(KeptTargets(masks=0.5).apply(train, seed=seed)).tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_drop_leaves_out_what_lost_a_target(train: Samples) -> None:
    kept = KeptTargets(0.25, 0.5).apply(train, seed=4)
    dropped = KeptTargets(0.25, 0.5, "drop").apply(train, seed=4)
    whole = masked(kept) & (kept.labels != -100)
    assert dropped.ids == tuple(name for name, has in zip(train.ids, whole.tolist(), strict=True) if has)


def test_rows_that_never_had_a_target_stay(train: Samples) -> None:
    labels = train.labels.clone()
    labels[:10] = -100
    given = Samples(train.images, labels, train.masks, train.ids)
    dropped = KeptTargets(masks=0.5, incomplete="drop").apply(given, seed=0)
    kept = KeptTargets(masks=0.5).apply(given, seed=0)
    assert len(dropped) == int(masked(kept).sum())
    assert int((dropped.labels == -100).sum()) == int(masked(kept)[:10].sum())


def test_masks_that_are_not_in_memory(train: Samples) -> None:
    stored = as_tensor(Redecoded(lambda rows: train.masks[rows].numpy(), torch.arange(COUNT).numpy(), (1, 32, 32)))
    on_disk = Samples(train.images, train.labels, stored, train.ids)
    found = KeptTargets(masks=0.3).apply(on_disk, seed=5)
    assert torch.equal(found.masks[...], KeptTargets(masks=0.3).apply(train, seed=5).masks)


def test_the_data_module_reduces_training_alone_and_knows_the_data() -> None:
    def module(**kept: Any) -> DataModule:
        source = Phantom(size=32, train=COUNT, val=12, test=12, seed=1)
        data = DataModule(source, None, 8, 0, seed=0, kept=KeptTargets(**kept))
        data.setup()
        return data

    whole, reduced = module(), module(masks=0.1, incomplete="drop")
    assert len(reduced.splits["train"]) == 9
    assert len(reduced.splits["val"]) == 12
    assert reduced.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"masks": 1.5}, "loader.masks is 1.5, but must be a number from 0 to 1"),
        ({"labels": -0.1}, "loader.labels is -0.1, but must be a number from 0 to 1"),
        ({"labels": float("nan")}, "loader.labels is nan, but must be a number from 0 to 1"),
        ({"masks": True}, "loader.masks is True, but must be a number from 0 to 1"),
        ({"incomplete": "fill"}, "loader.incomplete is 'fill', but must be one of keep, drop"),
        ({"incomplete": "drop"}, "loader.incomplete is drop without effect: set loader.masks or loader.labels below 1"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        KeptTargets(**options)


def test_the_masks_of_random_squares_are_hidden_too(train: Samples) -> None:
    rows = torch.arange(COUNT)
    parts = (Squares(train.images, train.masks),)
    squares = replace(train, whole=Whole(parts, torch.stack([torch.zeros_like(rows), rows], 1), 32))
    kept = KeptTargets(masks=0.5).apply(squares, seed=0)
    batch = kept.take(range(COUNT), np.full((COUNT, 4), 0.5))
    assert torch.equal((batch["mask"] != 255).flatten(1).all(1), masked(kept))
    assert torch.equal(batch["mask"][masked(kept)], train.take(range(COUNT))["mask"][masked(kept)])
    dropped = KeptTargets(masks=0.5, incomplete="drop").apply(squares, seed=0)
    assert (dropped.take(range(len(dropped)), np.full((len(dropped), 4), 0.5))["mask"] != 255).all()
    fewer = KeptTargets(labels=0.5).apply(squares, seed=0)
    assert int((fewer.labels == -100).sum()) == pytest.approx(COUNT / 2, abs=2)
    assert (fewer.take([0, 1], np.full((2, 4), 0.5))["mask"] != 255).all()


def test_data_without_the_target(train: Samples) -> None:
    unlabelled = Samples(train.images, torch.full_like(train.labels, -100), train.masks, train.ids)
    unmasked = Samples(train.images, train.labels, train.masks[:, :0], train.ids)
    with pytest.raises(DataError, match=r"loader\.labels=0\.5, but no training image has a label"):
        KeptTargets(labels=0.5).apply(unlabelled, seed=0)
    with pytest.raises(DataError, match=r"loader\.masks=0\.5, but no training image has a mask"):
        KeptTargets(masks=0.5).apply(unmasked, seed=0)
    with pytest.raises(DataError, match="leaves no training image"):
        KeptTargets(masks=0, incomplete="drop").apply(train, seed=0)
