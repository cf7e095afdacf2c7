"""Faults: counted, the first shown, all kept."""

import pytest

from tandem.data.files.faults import Faults, FaultyDataError, check_on_error, refuse
from tandem.errors import ConfigError, DataError


def test_faults_are_counted_and_three_of_them_listed() -> None:
    refuse([], 9)
    with pytest.raises(DataError, match=r"\Aonly\Z"):
        refuse(["only"], 9)
    with pytest.raises(DataError) as caught:
        refuse([f"fault {number}" for number in range(14)], 20)
    first, *others = str(caught.value).splitlines()
    assert first == "14 of 20 images cannot be used; the first: fault 0;"
    assert [line.strip(" ;") for line in others] == ["fault 1", "fault 2", "... and 11 more"]


def test_faults_of_each_kind_are_shown_first() -> None:
    lines = [*(f"'{number}.png' is empty" for number in range(9)), "'x_mask.png' belongs to no image", "'y' is empty"]
    with pytest.raises(DataError) as caught:
        refuse(lines, 20)
    shown = [line.strip(" ;") for line in str(caught.value).splitlines()]
    assert shown == [
        "11 of 20 images cannot be used; the first: '0.png' is empty",
        "'1.png' is empty",
        "'x_mask.png' belongs to no image",
        "... and 8 more",
    ]


def test_every_fault_is_kept() -> None:
    lines = [f"fault {number}" for number in range(14)]
    with pytest.raises(FaultyDataError) as caught:
        refuse(lines, 20)
    assert list(caught.value.faults) == lines


def test_skipped_faults_are_kept_and_others_refused() -> None:
    for faults in (Faults("skip"), Faults("fail")):
        faults.add("a is broken", "row 3 of 't.csv'")
        assert faults.found == ["row 3 of 't.csv': a is broken"]
        if faults.on_error == "skip":
            faults.settle(4)
        else:
            with pytest.raises(DataError, match="row 3 of"):
                faults.settle(4)


def test_unknown_values_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.on_error is 'ignore', but must be 'fail' or 'skip'"):
        check_on_error("ignore")
