"""What may be searched: read as it is meant, refused in one line, typed so that it comes back."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import ConfigError
from tandem.search.space import Choice, Range, as_overrides, read_space


def test_dotted_keys_nested_dicts_and_lists_are_read_alike() -> None:
    dotted = read_space({"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}, "seed": [0, 1]})
    nested = read_space({"optimizer": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}, "seed": {"choices": [0, 1]}})
    assert dotted == nested == {"optimizer.lr": Range(1e-4, 1e-2, log=True), "seed": Choice([0, 1])}


WRONG: list[tuple[Any, str]] = [
    (None, "search.space is empty; add a range"),
    ({"a": {}}, "search.space is empty; add a range"),
    (3, "search.space is 3, but must be a range"),
    ({"a": 3}, "search.space.a is 3, but must be a range"),
    ({"a": {"low": 1}}, "search.space.a lacks 'high'"),
    ({"a": {"low": 1, "hihg": 2}}, "unknown key 'search.space.a.hihg': did you mean 'high'"),
    ({"a": {"low": 2, "high": 2}}, "search.space.a: low=2, high=2: low must be below high"),
    ({"a": {"low": "1e-4x", "high": 2}}, "search.space.a: low is '1e-4x', but must be a number"),
    ({"a": {"low": float("nan"), "high": 2}}, "search.space.a: low is nan, but must be a number"),
    ({"a": {"low": 0, "high": 2, "log": True}}, "search.space.a: log needs low above 0 and no step"),
    ({"a": {"low": 1, "high": 2, "log": True, "step": 1}}, "search.space.a: log needs low above 0 and no step"),
    ({"a": {"low": 1, "high": 2, "step": 0}}, "search.space.a: step is 0, but must be above 0"),
    ({"a": {"low": 1.5, "high": 2, "type": "int"}}, "search.space.a: low is 1.5, but must be an int"),
    ({"a": {"low": 1, "high": 2, "type": "integer"}}, "search.space.a: type is 'integer', but must be float or int"),
    ({"a": [1]}, r"search.space.a: choices is \[1\], but must be a list of two or more"),
    ({"a": {"choices": "1,2"}}, "search.space.a: choices is '1,2', but must be a list"),
    ({"a": [[1, 2], [2, 1]]}, r"search.space.a: choices holds \[1, 2\]; write it as text in quotes"),
    ({"a": [1, "1"]}, "search.space.a: choices holds a value twice"),
]


@pytest.mark.parametrize(("space", "line"), WRONG)
def test_what_cannot_be_searched_is_refused_in_one_line(space: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        read_space(space)


@pytest.mark.parametrize(
    "dimension",
    [
        Range(0.5, 5.0),
        Range(1e-4, 1e-2, log=True),
        Range(0.0, 1.0, step=0.25),
        Range(1, 8, type="int"),
        Range(1, 64, log=True, type="int"),
        Range(2, 8, step=2, type="int"),
    ],
)
def test_a_range_is_what_the_sampler_draws_from(dimension: Range) -> None:
    drawn = dimension.distribution()
    assert (drawn.low, drawn.high, drawn.log) == (dimension.low, dimension.high, dimension.log)
    assert drawn.step == (1 if dimension.type == "int" and dimension.step is None else dimension.step)
    assert drawn._contains(drawn.to_internal_repr(dimension.first))


PLAIN = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
    st.booleans(),
    st.none(),
    st.sampled_from(["focal", "dice_bce", "[1,2,2]"]),
)


@given(PLAIN)
def test_a_value_comes_back_as_it_was_chosen(value: Any) -> None:
    (override,) = OverridesParser.create().parse_overrides(as_overrides({"a.b": value}))
    assert override.value() == ([1, 2, 2] if value == "[1,2,2]" else value)
