"""`direction` and `label` in the yaml of a metric."""

from typing import Any

import pytest

from tandem.config.identity import run_hash
from tandem.config.metric_nodes import without_shown_as
from tandem.errors import ConfigError
from tandem.metrics.catalogue import Direction, Quantity
from tandem.metrics.declared import Declared, applied, declared, declared_anew


def tasks(**keys: Any) -> dict[str, Any]:
    return {"age": {"metrics": {"nll": {"_target_": "my.NLL", **keys}, "off": None}}, "mask": {}}


def test_what_the_yaml_says_is_read_and_taken_out() -> None:
    given = tasks(direction="min", label="log loss", empty="skip")
    assert declared(given) == {"age/nll": Declared("min", "log loss")}
    assert without_shown_as(given["age"]) == {"metrics": {"nll": {"_target_": "my.NLL", "empty": "skip"}, "off": None}}
    assert without_shown_as({"metrics": None}) == {"metrics": None}
    assert without_shown_as(None) is None


def test_it_is_no_part_of_a_runs_identity() -> None:
    plain = run_hash({"tasks": tasks()})
    assert run_hash({"tasks": tasks(direction="min", label="log loss")}) == plain
    assert run_hash({"tasks": tasks(tolerance=2)}) != plain


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"direction": "up"}, "tasks.age.metrics.nll.direction is 'up', but must be min or max"),
        ({"direction": True}, "tasks.age.metrics.nll.direction is True, but must be min or max"),
        ({"label": ""}, "tasks.age.metrics.nll.label is '', but must be one line of text"),
        ({"label": "two\nlines"}, "tasks.age.metrics.nll.label is 'two\\nlines', but must be one line of text"),
        ({"label": 3}, "tasks.age.metrics.nll.label is 3, but must be one line of text"),
    ],
)
def test_what_is_no_direction_or_label_is_refused(keys: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        declared(tasks(**keys))
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("said", "own", "catalogue", "expected"),
    [
        ("min", True, "max", "min"), (None, False, "max", "min"), (None, None, "max", "max"), (None, True, None, "max"),
        (None, None, None, None), (None, "yes", None, None), (None, property(), None, None),
    ],
)  # fmt: skip
def test_the_yaml_comes_first_then_the_metric_itself_then_the_catalogue(
    said: Direction, own: Any, catalogue: Direction, expected: Direction
) -> None:
    assert applied(Quantity("x", catalogue), Declared(said), own).direction == expected


def test_a_finished_run_takes_up_what_is_said_later() -> None:
    told = {"age/nll": Quantity("nll"), "age/nll/old": Quantity("nll/old"), "mask/dice": Quantity("Dice", "max")}
    assert declared_anew(told, tasks()) == told
    assert declared_anew(told, tasks(direction="min", label="log loss")) == {
        "age/nll": Quantity("log loss", "min"),
        "age/nll/old": Quantity("log loss/old", "min"),
        "mask/dice": Quantity("Dice", "max"),
    }
