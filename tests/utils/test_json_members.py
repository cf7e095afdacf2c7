"""Objects that are read by member equal those that are read as a whole."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import DataError
from tandem.utils.digests import DamagedError, read_members, recorded
from tandem.utils.files import as_json, write_json
from tandem.utils.json_members import Members, made_of

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
OBJECTS = st.dictionaries(st.text(), VALUES)
TRICKY: dict[str, Any] = {
    'a": b': 1,
    "a\\": {},
    '": ': [],
    '\n  "x": 1': '\n  "y": 2,\n}',
    "}": "},",
    "": {"": {'"': [{"a": 1}, 2]}},
    "empty": {},
}


def plain(value: Any) -> Any:
    return {key: plain(item) for key, item in value.items()} if isinstance(value, Members) else value


@given(OBJECTS)
def test_members_are_those_of_the_whole(value: dict[str, Any]) -> None:
    text = as_json(value)
    for inner in ([], list(value), [*value, *(f"{key}.{one}" for key in value if "." not in key for one in value)]):
        found = Members(text, inner)
        assert plain(found) == json.loads(text)
        assert list(found) == list(value)


@pytest.mark.parametrize("value", [{}, TRICKY, {"a": TRICKY}, {"a": {"b": TRICKY}}], ids=["empty", "0", "1", "2"])
def test_keys_and_texts_that_look_like_members(value: dict[str, Any]) -> None:
    found = Members(as_json(value), ["a", "a.b"])
    assert plain(found) == value
    assert len(found) == len(value)
    assert "nothing" not in found
    assert found.get("nothing") is None


def test_what_is_asked_for_alone_is_read() -> None:
    found = Members('{\n  "good": 1,\n  "bad": [1\n}\n')
    assert found["good"] == 1
    with pytest.raises(ValueError, match="delimiter"):
        found["bad"]


def test_equal_texts_are_made_once() -> None:
    made = []

    def make(name: str, value: Any) -> tuple[str, Any]:
        made.append(name)
        return name, value

    runs = [Members(as_json({"loss": {"gamma": 2}, "seed": seed})) for seed in (1, 2, 2)]
    assert [made_of(run, "loss", make) for run in runs] == [("loss", {"gamma": 2})] * 3
    assert [made_of(run, "seed", make, "a.seed") for run in runs] == [("a.seed", seed) for seed in (1, 2, 2)]
    assert made == ["loss", "a.seed", "a.seed"]
    assert made_of({"loss": 3}, "loss", make) == ("loss", 3)


def test_a_file_without_a_digest_is_read_whole_whatever_its_form(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"config": {"seed": 1},\n  "metrics": {}}')
    assert read_members(file) == {"config": {"seed": 1}, "metrics": {}}
    assert type(read_members(file)) is dict


def test_a_file_that_was_written_is_read_by_member_if_it_is_intact(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    with recorded(tmp_path):
        write_json(file, {"config": {"seed": 1}})
    found = read_members(file, ["config"])
    assert isinstance(found["config"], Members)
    assert plain(found) == {"config": {"seed": 1}}
    file.write_text(file.read_text().replace("1", "2"))
    with pytest.raises(DamagedError, match=r"results\.json is damaged: its SHA-256 is not the one in"):
        read_members(file)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        read_members(file)
    file.symlink_to("/dev/null")
    with pytest.raises(DataError, match="is a device"):
        read_members(file)
