"""Images that a run was trained on are found by their pixels, under any name, with their groups."""

from dataclasses import replace

import pytest
import torch

from tandem.data.samples import Samples, join_samples
from tandem.errors import DataError
from tandem.evaluate.external.leaks import find_leaks, settle_leaks


@pytest.fixture
def own(tiny_samples) -> dict[str, Samples]:  # type: ignore[no-untyped-def]
    return {"train": tiny_samples(5), "val": tiny_samples(2, "val"), "test": tiny_samples(3, "internal")}


@pytest.fixture
def other(tiny_samples, own: dict[str, Samples]) -> Samples:  # type: ignore[no-untyped-def]
    """Four images: new, one of training, one of the internal test, new; the first two of one patient."""
    new = tiny_samples(2, "another site")
    parts = [new.pick([0]), own["train"].pick([3]), own["test"].pick([0]), new.pick([1])]
    found = join_samples([replace(part, ids=(f"x{row}",)) for row, part in enumerate(parts)])
    return replace(found, groups=("p1", "p1", "p2", "p3"))


def test_equal_pixels_are_found(own: dict[str, Samples], other: Samples) -> None:
    leaks = find_leaks(other, own)
    assert (dict(leaks.learnt), leaks.tested, leaks.groups) == ({1: "train/3"}, ("x2",), ())
    changed = other.images.clone()
    changed[1, 0, 0, 0] ^= 1
    assert not find_leaks(replace(other, images=changed), own).learnt
    levels = torch.tensor([[0.0, 99.0]]).expand(4, 2)
    assert not find_leaks(replace(other, levels=levels), own).learnt, "the network sees other grey levels"


def test_the_same_name_of_a_group_is_said(own: dict[str, Samples], other: Samples) -> None:
    own["train"] = replace(own["train"], groups=("p3", "q", "q", "q", "q"))
    assert find_leaks(other, own).groups == ("p3",)


def test_they_are_refused_left_out_or_kept(own: dict[str, Samples], other: Samples) -> None:
    leaks = find_leaks(other, own)
    with pytest.raises(DataError, match=r"1 of 4 images of Ulm equal.*x1 equals train/3.*1 more.*overlap=drop"):
        settle_leaks(other, leaks, "refuse", "Ulm")
    left, said = settle_leaks(other, leaks, "drop", "Ulm")
    assert left.ids == ("x2", "x3"), "the other image of that patient is left out too"
    assert "left out" in said[0]
    assert "also in the run's own test split, x2 first" in said[1]
    kept, said = settle_leaks(other, leaks, "keep", "Ulm")
    assert kept is other
    assert "too good" in said[0]
    with pytest.raises(DataError, match="no image is left"):
        settle_leaks(other.pick([0, 1]), find_leaks(other.pick([0, 1]), own), "drop", "Ulm")
