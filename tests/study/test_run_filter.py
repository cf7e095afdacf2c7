"""Which runs have a setting."""

import pytest

from tandem.study.run_filter import has_setting, split_filter

OVERRIDES = ("seed=1", "+extra=[1, 2]", "~trackers", "loss/binary@tasks.lesion.loss=Focal")
SETTINGS = {"seed": 1, "data.seed": 7, "data.fold": None, "optimizer.lr": 0.001, "sizes": (64, 32), "flip": True}
CONFIG = {"seed": 1, "name": "grid", "data": {"path": "x", "fold": None}, "sizes": [64, 32]}


@pytest.mark.parametrize(
    ("word", "has"),
    [
        ("seed=1", True),
        ("seed=1.0", True),
        ("seed=0,1", True),
        ("seed=7", False),  # data.seed
        ("data.seed=7", True),
        ("fold=null", True),
        ("fold=none", True),
        ("lr=1e-3", True),
        ("lr=0.01", False),
        ("sizes=[64,32]", True),
        ("sizes=64", False),
        ("extra=[1,2]", True),
        ("flip=TRUE", True),
        ("name=grid", True),
        ("data.path='x'", True),
        ("data=x", False),
        ("trackers=", False),
        ("loss/binary@tasks.lesion.loss=focal", True),
        ("nothing=1", False),
    ],
)
def test_a_run_has_what_was_typed_or_set(word: str, has: bool) -> None:
    assert has_setting(*split_filter(word), OVERRIDES, SETTINGS, CONFIG) is has


def test_a_run_that_is_not_finished_has_what_was_typed() -> None:
    assert has_setting("seed", ["1"], OVERRIDES, {}, {})
    assert not has_setting("lr", ["0.001"], OVERRIDES, {}, {})
