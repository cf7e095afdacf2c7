"""How `by` is typed, and which groups values make."""

from typing import Any

import pytest

from tandem.errors import ConfigError
from tandem.evaluate.groups.bands import group_names
from tandem.evaluate.groups.options import Grouping, as_list, read_by

AGE = Grouping("age", (40.0, 60.0))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, ()),
        ("site", (Grouping("site"),)),
        ("age:40,60", (AGE,)),
        (["site", "age:40,60"], (Grouping("site"), AGE)),
        (["age:40", 60, "site"], (AGE, Grouping("site"))),
        ({"site": None, "age": [40, 60]}, (Grouping("site"), AGE)),
        ([{"age": [40, 60]}], (AGE,)),
    ],
)
def test_what_is_typed(given: Any, found: tuple[Grouping, ...]) -> None:
    assert read_by({"by": given}) == found
    assert as_list("by=age:0,40") == "by=[age:0,40]"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "by is ''"),
        (3, "by is 3"),
        ([40], "by is 40"),
        (["site", "site"], "by names 'site' twice"),
        ("age:60,40", "ends of the bands of 'age'.*ascending"),
        ("age:old", "ends of the bands of 'age'"),
        ({"age": 40}, "ends of the bands of 'age' are 40"),
        ({"age": [1, float("nan")]}, "ends of the bands"),
    ],
)
def test_what_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_by({"by": given})


def test_a_table_needs_by_and_a_file() -> None:
    with pytest.raises(ConfigError, match="give by=COLUMN too"):
        read_by({"table": "a.csv"})
    with pytest.raises(ConfigError, match=r"table=a\.csv is no file"):
        read_by({"by": "site", "table": "a.csv"})


def test_values_become_groups_in_order() -> None:
    assert group_names(Grouping("grade"), ["10", "2", "", "b", "2"])[1] == ["2", "10", "b", "missing"]
    found, names = group_names(AGE, ["40", "39.9", "60", "", "1e9"])
    assert found == ["40 to < 60", "< 40", ">= 60", "missing", ">= 60"]
    assert names == ["< 40", "40 to < 60", ">= 60", "missing"]
    with pytest.raises(ConfigError, match=r"'age' has 21 different values.*by=age:40,60"):
        group_names(Grouping("age"), [str(row) for row in range(21)])
    with pytest.raises(ConfigError, match="'age' has bands, but one of its values is 'old'"):
        group_names(AGE, ["old"])
