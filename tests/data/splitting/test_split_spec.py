"""Splits: folds test each row once, files and published splits are kept, groups stay together, strata are balanced."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.data.samples import SPLITS
from tandem.data.splitting.split_spec import SplitSpec
from tandem.errors import ConfigError, DataError

COUNT = 120
IDS = [f"row {number}" for number in range(COUNT)]
LABELS = [number % 3 for number in range(COUNT)]
GROUPS = [f"patient {number // 2}" for number in range(COUNT)]
MASKED = [number // 3 % 2 for number in range(COUNT)]
CLASSES = ("a", "b", "c")


def divided(division: SplitSpec, **more: Any) -> dict[str, set[int]]:
    rows = division.rows(IDS, LABELS, GROUPS, CLASSES, **more)
    return {split: set(part.tolist()) for split, part in rows.items()}


@given(st.integers(2, 6), st.integers(0, 5))
def test_every_row_is_tested_in_one_fold_and_groups_stay_whole(folds: int, seed: int) -> None:
    tested: list[int] = []
    for fold in range(folds):
        parts = divided(SplitSpec(seed=seed, folds=folds, fold=fold), masked=MASKED)
        assert set.union(*parts.values()) == set(range(COUNT))
        assert sum(map(len, parts.values())) == COUNT
        homes = [{GROUPS[row] for row in parts[split]} for split in SPLITS]
        assert all(not one & other for one, other in itertools.combinations(homes, 2))
        tested += parts["test"]
    assert sorted(tested) == list(range(COUNT))


def test_folds_are_of_one_size_and_validation_is_carved_from_the_rest() -> None:
    parts = divided(SplitSpec({"train": 0.6, "val": 0.2, "test": 0.2}, folds=5, fold=2))
    assert {split: len(part) for split, part in parts.items()} == {"train": 72, "val": 24, "test": 24}


def test_the_seed_and_not_the_fold_draws_the_folds() -> None:
    first = [divided(SplitSpec(folds=3, fold=fold))["test"] for fold in range(3)]
    other = [divided(SplitSpec(seed=1, folds=3, fold=fold))["test"] for fold in range(3)]
    assert set.union(*first) == set(range(COUNT))
    assert first != other


@pytest.mark.parametrize("settings", [{}, {"folds": 4, "fold": 1}])
def test_masks_are_shared_out_within_each_class(settings: dict[str, Any]) -> None:
    labels, masked = np.arange(240) % 3, np.arange(240) // 3 % 4 == 0
    names = [str(number) for number in range(240)]
    rows = SplitSpec(**settings).rows(names, labels.tolist(), names, CLASSES, masked.astype(int).tolist())
    for part in rows.values():
        for label in range(3):
            share = masked[part][labels[part] == label].mean()
            assert share == pytest.approx(0.25, abs=0.13)
    assert masked[rows["test"]].mean() == pytest.approx(0.25, abs=0.06)


def test_a_published_split_is_kept() -> None:
    published = ["train"] * 80 + ["val"] * 20 + ["test"] * 20
    parts = divided(SplitSpec(), published=published)
    assert [len(parts[split]) for split in SPLITS] == [80, 20, 20]
    assert parts["test"] == set(range(100, 120))


def test_validation_is_carved_out_of_a_published_training_split() -> None:
    parts = divided(SplitSpec(), published=["train"] * 90 + ["test"] * 30)
    assert parts["test"] == set(range(90, 120))
    assert len(parts["val"]) == pytest.approx(90 * 0.15 / 0.85, abs=1)


def test_a_published_split_without_test_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"has no rows in test; draw a new split with data\.resplit=true"):
        divided(SplitSpec(), published=["train"] * COUNT)


def test_folds_override_a_published_split_and_a_file_overrides_all(tmp_path: Path) -> None:
    published = ["train"] * 90 + ["test"] * 30
    assert divided(SplitSpec(folds=3, fold=0), published=published) == divided(SplitSpec(folds=3, fold=0))
    path = tmp_path / "splits.csv"
    listed = ["val" if number < 7 else "test" if number < 11 else "train" for number in range(COUNT)]
    path.write_text("id,split\n" + "".join(f"{name},{split}\n" for name, split in zip(IDS, listed, strict=True)))
    parts = divided(SplitSpec(file=str(path)), published=published)
    assert parts["val"] == set(range(7))
    assert parts["test"] == set(range(7, 11))


def test_a_file_may_list_rows_that_were_left_out(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("id,split\n" + "".join(f"{name},train\n" for name in [*IDS, "left out"]))
    with pytest.raises(DataError, match="'left out', which the data set does not have"):
        divided(SplitSpec(file=str(path)))
    assert len(divided(SplitSpec(file=str(path)), left_out=True)["train"]) == COUNT


def test_a_class_too_rare_for_the_folds_is_named() -> None:
    labels = [0] * 40 + [1] * 3
    with pytest.raises(DataError, match=r"class 'rare' is missing from split fold \d.*lower data\.folds"):
        SplitSpec(folds=5, fold=0).rows(IDS[:43], labels, IDS[:43], ("common", "rare"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1, "fold": 0}, r"data\.folds is 1"),
        ({"folds": 3}, r"data\.fold is null, but must be one of 0 to 2"),
        ({"folds": 3, "fold": 3}, r"data\.fold is 3"),
        ({"folds": 3, "fold": True}, r"data\.fold is True"),
        ({"fold": 1}, r"data\.fold is 1, but there are no folds; give data\.folds too"),
        ({"seed": -1}, r"data\.split_seed is -1"),
        ({"folds": 3, "fold": 1, "file": "a.csv"}, "are both given"),
        ({"fractions": {"train": 1.0}}, r"data\.fractions"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SplitSpec(**settings)
