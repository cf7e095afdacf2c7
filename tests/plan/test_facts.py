"""The facts of a fingerprint, against brute force."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from tandem.audit.audit import audit
from tandem.plan.facts import fingerprint_of, has_own_split, units, widths_of
from tandem.plan.machine import Machine, this_machine


def brute_width(mask: Any) -> float:
    """The largest circle around the middle of a pixel that holds no pixel of the background, by trying all."""
    padded = np.pad(mask, 1)
    inside = np.argwhere(padded)
    outside = np.argwhere(~padded)
    radius: float = max(min(math.dist(one, other) for other in outside) for one in inside)
    longest: int = max(mask.shape)
    return (2 * radius - 1) / longest


def test_widths_are_those_of_the_largest_circle() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        mask = np.zeros((16, 24), bool)
        top, left = rng.integers(0, 8, 2)
        mask[top : top + rng.integers(2, 8), left : left + rng.integers(2, 12)] = True
        assert widths_of(mask) == [pytest.approx(brute_width(mask))]


def test_each_part_has_a_width_and_specks_have_none() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:5, 2:12] = True
    mask[10:17, 10:17] = True
    mask[18, 2] = True
    assert sorted(widths_of(mask)) == [pytest.approx(3 / 20), pytest.approx(7 / 20)]
    speck = np.zeros((20, 20), bool)
    speck[3, 3] = True
    assert widths_of(speck) == [pytest.approx(1 / 20)]
    assert widths_of(np.zeros((4, 4), bool)) == []


def test_the_fingerprint_counts_what_the_data_hold(tiny_source: Any) -> None:
    splits = tiny_source.load()
    found = fingerprint_of(tiny_source, splits, audit(tiny_source, splits), {"size": 32}, {}, Machine(), 600.0)
    labels = list(itertools.chain(*(samples.labels.tolist() for samples in splits.values())))
    for place, name in enumerate(tiny_source.classes):
        assert found.classes[name] == labels.count(place)
    filled = sum(int((s.masks.flatten(1) == 1).any(1).sum()) for s in splits.values())
    assert (found.images, found.filled) == (len(labels), filled)
    assert found.units <= found.images
    assert 0 < found.widths[0] <= found.widths[1] < 1
    assert not found.files
    assert "given" in found.to_json()


def test_units_are_groups() -> None:
    from tandem.audit.facts import Facts

    rows = [Facts(str(n), "train", "", group, "", 0.0, False) for n, group in enumerate(["a", "a", "", "", "b"])]
    assert units(rows) == 4


@pytest.mark.parametrize(
    ("splits", "node", "own"),
    [
        (["", ""], {"resplit": False}, False),
        (["train", "val"], {"resplit": False}, True),
        ([], {"resplit": False}, True),
        ([], {}, False),
        (["train"], {"resplit": True}, False),
    ],
)
def test_a_split_of_the_data_themselves_is_known(splits: list[str], node: dict[str, Any], own: bool) -> None:
    from pathlib import Path

    from tandem.data.files.records import Record

    records = [Record(str(n), Path("x.png"), split=split) for n, split in enumerate(splits)]
    assert has_own_split(records, node) == own


def test_this_machine_has_cores_and_memory(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_WEIGHTS", str(tmp_path / "resnet18.pth"))
    found = this_machine(tmp_path / "runs")
    assert found.cores >= 1
    assert found.memory > 1e6
    assert found.disk > 0
    assert found.weights == ""
    (tmp_path / "resnet18.pth").touch()
    assert this_machine(tmp_path).weights == "resnet18.pth"
