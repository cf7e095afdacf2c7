"""Faults: counted, the first shown, all kept."""

import pytest

from tandem.data.files.faults import Faults, FaultyDataError, check_on_error, refuse
from tandem.errors import ConfigError, DataError


def test_faults_are_counted_and_ten_of_them_listed() -> None:
    refuse([], 9)
    with pytest.raises(DataError, match=r"\Aonly\Z"):
        refuse(["only"], 9)
    with pytest.raises(DataError) as caught:
        refuse([f"fault {number}" for number in range(14)], 20)
    first, *others = str(caught.value).splitlines()
    assert first == "14 of 20 images cannot be used; the first: fault 0;"
    assert [line.strip(" ;") for line in others] == [*(f"fault {number}" for number in range(1, 10)), "... and 4 more"]


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
