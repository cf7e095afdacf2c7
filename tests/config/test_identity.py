"""Later releases add options and rename classes; the names of old runs stay."""

from typing import Any

import pytest

from tandem.config import identity
from tandem.config.identity import run_hash

OLD = {
    "seed": 1,
    "data": {"_target_": "tandem.data.mixed.Mixed", "sources": {"a": {"root": "x"}}},
    "tasks": {"a": {"loss": {"_target_": "tandem.losses.binary.Focal", "gamma": 2.0}}},
}


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options and names of a made-up later release."""
    added = {"tasks.*.loss.reduction": "mean", "precision": None, "trainer.swa": False, "data.fit": "squash"}
    monkeypatch.setattr(identity, "LATER", added)
    monkeypatch.setattr(identity, "RENAMED", {"tandem.losses.binary.SigmoidFocal": "tandem.losses.binary.Focal"})


def changed(**more: Any) -> dict[str, Any]:
    """The old configuration with further keys at its root."""
    return {**OLD, **more}


def with_loss(**more: Any) -> dict[str, Any]:
    """The old configuration with further keys in the loss."""
    return changed(tasks={"a": {"loss": {**OLD["tasks"]["a"]["loss"], **more}}})  # type: ignore[index]


@pytest.mark.parametrize(
    ("config", "same"),
    [
        (changed(precision=None), True),
        (changed(precision="16-mixed"), False),
        (with_loss(reduction="mean"), True),
        (with_loss(reduction="sum"), False),
        (with_loss(_target_="tandem.losses.binary.SigmoidFocal"), True),
        (with_loss(_target_="tandem.losses.binary.Dice"), False),
        (changed(data={**OLD["data"], "sources": {"a": {"root": "x", "fit": "squash"}}}), True),  # type: ignore[dict-item]
        (changed(data={**OLD["data"], "sources": {"a": {"root": "x", "fit": "pad"}}}), False),  # type: ignore[dict-item]
    ],
)
def test_an_option_counts_where_it_is_not_neutral(config: dict[str, Any], same: bool) -> None:
    assert (run_hash(config) == run_hash(OLD)) is same


@pytest.mark.parametrize("value", [0, 0.0, "", None])
def test_neutral_is_the_very_value(value: object) -> None:
    assert run_hash({"seed": 1, "trainer": {"swa": value}}) != run_hash({"seed": 1, "trainer": {}})
    assert run_hash({"seed": 1, "trainer": {"swa": False}}) == run_hash({"seed": 1, "trainer": {}})


def test_a_configuration_is_not_changed_by_its_hash() -> None:
    given = with_loss(reduction="mean", _target_="tandem.losses.binary.SigmoidFocal")
    run_hash(given)
    assert given["tasks"]["a"]["loss"]["reduction"] == "mean"
    assert given["tasks"]["a"]["loss"]["_target_"] == "tandem.losses.binary.SigmoidFocal"
