"""Options by name: `dice_bce` in place of a class and all of its settings."""

from pathlib import Path
from typing import Any

import pytest

from tandem.study.cells import cells_of
from tandem.study.choice_names import named
from tandem.study.runs import Run
from tandem.study.swept_params import param_labels, settings_of, swept_params

LOSS = "loss/binary@tasks.mask.loss"
DICE = {"_target_": "tandem.losses.Dice", "smooth": 1.0}
BOTH = {"_target_": "tandem.losses.Composite", "terms": {"dice": DICE, "bce": {"_target_": "tandem.losses.BCE"}}}


def run(loss: dict[str, Any], *overrides: str, seed: int = 0) -> Run:
    config = {"seed": seed, "tasks": {"mask": {"loss": loss}}, "balance": {"_target_": "tandem.balance.Fixed"}}
    return Run(Path("x"), {"config": config, "seed": seed}, {}, overrides)


def labels(*runs: Run) -> list[str]:
    known = named(runs)
    return [cell.label for cell in cells_of(known, param_labels(swept_params(known), known))]


def test_choices_have_the_names_that_were_typed() -> None:
    assert labels(run(DICE, f"{LOSS}=dice"), run(BOTH, f"{LOSS}=dice_bce")) == ["loss=dice", "loss=dice_bce"]


def test_settings_that_differ_within_a_choice_are_still_told() -> None:
    other = {**DICE, "smooth": 2.0}
    found = labels(run(DICE, f"{LOSS}=dice"), run(other, f"{LOSS}=dice"), run(BOTH, f"{LOSS}=dice_bce"))
    assert found == ["loss=dice, smooth=1", "loss=dice, smooth=2", "loss=dice_bce"]


def test_one_choice_never_has_two_names() -> None:
    typed, default = run(DICE, f"{LOSS}=dice", seed=0), run(DICE, seed=1)
    assert labels(typed, default) == ["all runs"]
    assert labels(typed, default, run(BOTH, f"{LOSS}=dice_bce")) == ["loss=Composite", "loss=Dice"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["balance=fixed"], "fixed"),
        (["+balance=fixed"], "fixed"),
        (["balance=pcgrad", "balance=fixed"], "fixed"),
        (["balance.weights.mask=2"], "Fixed"),
        (["balance=[a,b]"], "Fixed"),
        (["task=mask"], "Fixed"),
    ],
)
def test_words_that_name_an_option(words: list[str], name: str) -> None:
    (found,) = named([run(DICE, *words)])
    assert settings_of(found)["balance"] == name
