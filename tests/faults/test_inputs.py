"""Bad inputs are refused in one line and leave nothing: a short form of `make faults`, which tries each of them."""

from pathlib import Path

import pytest
from tests.faults.inputs import Case, generated, refused, stated

QUICK = (
    Case("train", ("callbacks.collapse.every=nan",)),
    Case("train", ("name=a/../../b",)),
    Case("train", ("trainer.enable_progress_bar=maybe",)),
    Case("train", ("augment=[1,2]",)),
    Case("predict", ("images=",)),
    Case("predict", ("data.grey_range=3",)),
    Case("find_lr", ("find_lr.low=0",)),
    Case("reproduce", ("verify=abc",)),
    Case("doctor", ("runs=",)),
    Case("show_data", ("out=a.nothing",)),
    Case("study", ("nowhere",)),
)
"""Of each kind that once was accepted, left a folder or named no key."""


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_a_bad_input_is_refused_well(case: Case, tmp_path: Path) -> None:
    assert refused(case, tmp_path / "work") == ""


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")  # in this process, what a command prints once would be an error
@pytest.mark.parametrize("case", [*stated(), *generated()], ids=str)
def test_every_bad_input_is_refused_well(case: Case, tmp_path: Path) -> None:
    assert refused(case, tmp_path / "work") == ""


def test_there_are_as_many_as_the_table_says() -> None:
    assert len({*stated()}) >= 250
