import csv
import hashlib
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tandem.data.samples import SPLITS, Samples
from tandem.data.splitting.splits import check_fractions, read_splits, read_table, split_rows, write_splits
from tandem.errors import ConfigError, DataError

FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}


def names(count: int) -> list[str]:
    return [f"row {row}" for row in range(count)]


def test_shares_are_met_to_a_row() -> None:
    labels = np.repeat([0, 1, 2], [133, 437, 210])
    rows = split_rows(labels, names(780), FRACTIONS, seed=0)
    for split, share in FRACTIONS.items():
        counts = np.bincount(labels[rows[split]])
        assert np.abs(counts - share * np.array([133, 437, 210])).max() <= 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=60, max_size=120), st.integers(0, 9))
def test_every_row_is_in_one_split_and_no_group_straddles(table: list[tuple[int, int]], seed: int) -> None:
    labels, groups = [label for label, _ in table], [f"g{group}" for _, group in table]
    try:
        rows = split_rows(labels, groups, FRACTIONS, seed)
    except DataError:
        return
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(len(table)))
    members = [{groups[row] for row in rows[split]} for split in SPLITS]
    assert not members[0] & members[1]
    assert not members[0] & members[2]
    assert not members[1] & members[2]
    assert all((np.diff(part) > 0).all() for part in rows.values())


@pytest.mark.parametrize("splits", [3, 7])
def test_each_group_goes_where_the_sum_rises_least(splits: int) -> None:
    """The rule of the docstring as it is written, for groups of one stratum and of many."""
    random = np.random.default_rng(splits)
    labels, kinds = random.integers(0, 9, 900), random.integers(0, 2, 900)
    groups = [f"alone {row}" if row % 3 else f"patient {random.integers(60)}" for row in range(900)]
    shares = dict(zip("abcdefg", [1 / splits] * splits, strict=False))
    rows = split_rows(labels, groups, shares, 5, masked=kinds)

    held: dict[str, Counter[tuple[int, int]]] = {}
    for group, label, kind in zip(groups, labels.tolist(), kinds.tolist(), strict=True):
        held.setdefault(group, Counter())[label, kind] += 1
    target = {stratum: count / splits for stratum, count in sum(held.values(), Counter[tuple[int, int]]()).items()}
    placed: list[Counter[tuple[int, int]]] = [Counter() for _ in shares]

    def rise(split: int, group: str) -> Fraction:
        pairs = [(placed[split][stratum], count, target[stratum]) for stratum, count in held[group].items()]
        return sum((Fraction((n + more - t) ** 2 - (n - t) ** 2) / Fraction(t) for n, more, t in pairs), Fraction())

    home = {groups[row]: split for split, part in enumerate(rows.values()) for row in part}
    drawn = {group: hashlib.sha256(f"5:{group}".encode()).digest() for group in held}
    for group in sorted(held, key=lambda group: (-held[group].total(), drawn[group])):
        chosen = home[group]
        assert rise(chosen, group) <= min(rise(split, group) for split in range(splits)) + Fraction(1, 10**9)
        placed[chosen] += held[group]


def test_the_seed_and_not_the_order_of_rows_decides() -> None:
    labels, ids = np.arange(300) % 3, np.array(names(300))
    order = np.random.default_rng(0).permutation(300)
    one = split_rows(labels, ids.tolist(), FRACTIONS, seed=5)
    same = split_rows(labels[order], ids[order].tolist(), FRACTIONS, seed=5)
    other = split_rows(labels, ids.tolist(), FRACTIONS, seed=6)
    assert all(set(ids[one[split]]) == set(ids[order][same[split]]) for split in SPLITS)
    assert set(ids[one["test"]]) != set(ids[other["test"]])


def test_groups_are_spread_over_all_splits() -> None:
    labels, groups = np.zeros(200, int), [f"pair {row // 2}" for row in range(200)]
    rows = split_rows(labels, groups, FRACTIONS, seed=0)
    assert [len(rows[split]) for split in SPLITS] == [140, 30, 30]


def test_large_groups_do_not_spoil_the_shares() -> None:
    groups = [f"patient {row // 20}" for row in range(100)] + names(100)
    for seed in range(20):
        rows = split_rows([0] * 200, groups, FRACTIONS, seed)
        assert [len(rows[split]) for split in SPLITS] == [140, 30, 30]


def test_a_missing_class_is_named_with_split_and_fix() -> None:
    labels = [0] * 40 + [1] * 6
    one_patient = names(40) + ["patient"] * 6
    with pytest.raises(
        DataError, match=r"class 'rare' is missing from split val and test, with 6 images in 1 groups: .*data\."
    ):
        split_rows(labels, one_patient, FRACTIONS, 0, classes=("common", "rare"))
    with pytest.raises(DataError, match=r"class 1 is missing"):
        split_rows(labels, one_patient, FRACTIONS, 0)
    with pytest.raises(DataError, match=r"class 'rare' has no images"):
        split_rows([0] * 40, names(40), FRACTIONS, 0, classes=("common", "rare"))


def test_rows_without_a_label_are_split_but_not_required() -> None:
    labels = [0] * 20 + [-100] * 20
    rows = split_rows(labels, names(40), FRACTIONS, 0, classes=("only",))
    assert [len(rows[split]) for split in SPLITS] == [28, 6, 6]
    split_rows([0] * 20 + [-100], names(21), FRACTIONS, 0, classes=("only",))


def test_fractions_are_put_in_order() -> None:
    assert list(check_fractions({"test": 0.2, "train": 0.6, "val": 0.2})) == list(SPLITS)


@pytest.mark.parametrize(
    "fractions",
    [
        {"train": 0.7, "val": 0.3},
        {"train": 0.7, "val": 0.3, "test": 0.0},
        {"train": 0.7, "val": 0.2, "test": 0.2},
        {"train": 0.7, "val": 0.15, "held": 0.15},
        {"train": "most", "val": 0.15, "test": 0.15},
        {"train": float("nan"), "val": 0.15, "test": 0.15},
    ],
)
def test_bad_fractions_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"data\.fractions"):
        check_fractions(fractions)


def samples(ids: tuple[str, ...], labels: list[int], groups: tuple[str, ...] = ()) -> Samples:
    pixels = torch.zeros(len(ids), 1, 2, 2, dtype=torch.uint8)
    return Samples(pixels, torch.tensor(labels), pixels, ids, groups)


def test_splits_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    odd = 'a, "b"\nc'
    parts = {
        "train": samples(("x (1)", odd), [0, -100], ("x (1)", odd)),
        "val": samples(("y",), [1]),
        "test": samples(("=z",), [0], ("=z",)),
    }
    write_splits(path, parts, ("no", "yes"))
    assert read_splits(path) == {"x (1)": "train", odd: "train", "y": "val", "=z": "test"}
    with path.open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["id", "split", "class", "group"]
    assert table[1:4] == [["x (1)", "train", "no", "x (1)"], [odd, "train", "", odd], ["y", "val", "yes", ""]]
    assert list(tmp_path.iterdir()) == [path]


def test_an_id_in_two_splits_is_not_written(tmp_path: Path) -> None:
    parts = {"train": samples(("a",), [0]), "test": samples(("a",), [0])}
    with pytest.raises(DataError, match="id 'a' occurs twice, the second time in split test"):
        write_splits(tmp_path / "splits.csv", parts, ("no",))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column id, split"),
        ("id,group\na,train\n", "lacks the column split"),
        ("id,split,class,group\na,training,x,\n", "puts 'a' in split 'training'"),
        ("id,split,class,group\na,train,x,\na,val,x,\n", "the id 'a' twice"),
        ("id,split,class,group\n,train,x,\n", "the id '' twice or empty"),
        ("id,split,class,group\na,train,x\n", "row 1 below the header"),
        ("id,split,class,group\na,train,x,,more\n", "row 1 below the header"),
        ('id,split,class,group\n"a,train,x,\n', "is not a csv file"),
    ],
)
def test_files_that_are_not_splits_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_splits(path)
    assert "splits.csv" in str(caught.value)


def test_tables_of_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"\xef\xbb\xbfclass;id\r\nbenign;20\r\n\r\n")
    assert read_table(path, ("class", "id"), ";") == [{"class": "benign", "id": "20"}]
    path.write_bytes(b"class;id\nb\xe9nin;20\n")
    with pytest.raises(DataError, match="not a csv file in UTF-8"):
        read_table(path, ("class", "id"), ";")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "absent.csv", ("id",))
