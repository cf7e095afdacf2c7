"""Quantities in `results.json`: as they were, several runs together, and what is refused."""

import json
from typing import Any

import pytest

from tandem.errors import DataError
from tandem.metrics.catalogue import CATALOGUE, Quantity
from tandem.metrics.stored import STORED, agreed, as_stored, read_quantities


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_is_kept_is_read_again(name: str) -> None:
    kept = json.loads(json.dumps({"quantities": {f"task/{name}": as_stored(CATALOGUE[name])}}))
    found = read_quantities(kept)[f"task/{name}"]
    assert all(getattr(found, key) == getattr(CATALOGUE[name], key) for key in STORED)


def test_runs_of_before_tell_nothing() -> None:
    assert read_quantities({"metrics": {"val/loss": 1.0}}) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"label": 3}, {"direction": "up"}, {"direction": 1}, {"format": ".99999f"}, {"format": "%d"}, {"order": True},
        {"order": "1"}, {"group": None}, {"at_threshold": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_an_entry_that_tandem_does_not_write_is_refused(change: dict[str, Any]) -> None:
    entry = {**as_stored(CATALOGUE["dice"]), **change}
    with pytest.raises(DataError, match=r"results.json: quantities.lesion/dice is .*; train the run again"):
        read_quantities({"quantities": {"lesion/dice": entry}})


@pytest.mark.parametrize("kept", [[], "x", 3, {"a": None}, {"a": {}}], ids=str)
def test_so_is_what_is_no_entry(kept: Any) -> None:
    with pytest.raises(DataError, match=r"results.json: quantities"):
        read_quantities({"quantities": kept})


@pytest.mark.parametrize(
    ("directions", "expected"),
    [
        (["min", "min"], "min"), ([None, "min"], "min"), (["max", None], "max"), (["min", "max"], None),
        (["min", "max", "min"], None), ([None], None),
    ],
)  # fmt: skip
def test_a_direction_that_two_runs_contradict_is_unknown(directions: list[Any], expected: str | None) -> None:
    runs = [{"age/nll": Quantity(f"label {place}", one)} for place, one in enumerate(directions)]
    assert agreed(runs) == {"age/nll": Quantity("label 0", expected)}  # type: ignore[arg-type]
