"""Comma lists of a loss become settings; everything else is Hydra's."""

import pytest

from tandem.explain_loss.settings import LONGEST, read_settings

EXPANDED = {
    "a knob": (
        ["loss/binary=bce_focal", "loss.gamma=1,2,3"],
        ["loss/binary@loss=bce_focal", "loss.gamma=1"],
        ["gamma=1", "gamma=2", "gamma=3"],
        "bce_focal gamma=1, 2, 3",
    ),
    "losses": (["loss/binary=bce,dice"], ["loss/binary@loss=bce"], ["bce", "dice"], "bce, dice"),
    "the place written out": (["loss/binary@loss=bce,dice"], ["loss/binary@loss=bce"], ["bce", "dice"], "bce, dice"),
    "one setting": (
        ["loss/multiclass=focal", "loss.gamma=2"],
        ["loss/multiclass@loss=focal", "loss.gamma=2"],
        ["focal gamma=2"],
        "focal gamma=2",
    ),
    "each with each": (
        ["loss/binary=focal", "loss.gamma=1,2", "loss.alpha=null,0.25"],
        ["loss/binary@loss=focal", "loss.gamma=1", "loss.alpha=null"],
        ["gamma=1 alpha=null", "gamma=1 alpha=0.25", "gamma=2 alpha=null", "gamma=2 alpha=0.25"],
        "focal gamma=1, 2 alpha=null, 0.25",
    ),
    "a range": (["loss.gamma=range(1,4)"], ["loss.gamma=1"], ["gamma=1", "gamma=2", "gamma=3"], "gamma=1, 2, 3"),
    "lists as values": (
        ["loss.weight=[1,2],[1,3]"],
        ["loss.weight=[1,2]"],
        ["weight=[1,2]", "weight=[1,3]"],
        "weight=[1,2], [1,3]",
    ),
    "a quoted comma": (["loss.name='a,b'"], ["loss.name='a,b'"], ["name='a,b'"], "name='a,b'"),
    "a term of a sum": (
        ["loss/binary=dice_bce", "loss/binary@loss.terms.bce=focal,bce"],
        ["loss/binary@loss=dice_bce", "loss/binary@loss.terms.bce=focal"],
        ["terms.bce=focal", "terms.bce=bce"],
        "dice_bce terms.bce=focal, bce",
    ),
    "a new key": (["+loss.x=1,2"], ["+loss.x=1"], ["x=1", "x=2"], "x=1, 2"),
}


@pytest.mark.parametrize("case", EXPANDED)
def test_each_combination_is_a_setting(case: str) -> None:
    typed, first, labels, title = EXPANDED[case]
    found = read_settings(typed)
    assert [argument for argument in found.arguments if not argument.startswith("name=")] == first
    assert [setting.label for setting in found.settings] == labels
    assert list(found.settings[0].overrides) == first
    assert found.title == title


@pytest.mark.parametrize(
    "typed",
    [
        [],
        ["--help"],
        ["--cfg", "job"],
        ["data=busi,phantom", "-m"],
        ["losses=1,2"],
        ["loss.gamma=interval(0,1)"],
        ["loss/binary@loss=glob(*)"],
        ["loss.gamma=[1"],
        ["loss.gamma"],
        ["loss.gamma=range(3,1)"],
        ["~loss.gamma"],
    ],
    ids=" ".join,
)
def test_what_is_not_a_countable_value_of_the_loss_is_left_as_typed(typed: list[str]) -> None:
    found = read_settings(typed)
    assert list(found.arguments) == typed
    assert [setting.overrides for setting in found.settings] == [()]
    assert found.title == ""


def test_other_arguments_stay_in_place_around_the_first_values() -> None:
    found = read_settings(["-m", "data.seed=1,2", "loss/binary=bce,focal", "out=x", "--config-dir", "mine"])
    assert found.arguments == (
        *("-m", "data.seed=1,2", "name=bce-focal", "loss/binary@loss=bce", "out=x", "--config-dir", "mine"),
    )


def test_the_name_defaults_to_the_loss() -> None:
    assert "name=bce_focal-gamma-1-2.5" in read_settings(["loss/binary=bce_focal", "loss.gamma=1,2.5"]).arguments
    given = read_settings(["loss/binary=bce", "name=mine"]).arguments
    assert [argument for argument in given if argument.startswith("name=")] == ["name=mine"]
    many = read_settings(["loss/binary=bce", f"loss.gamma={','.join(map(str, range(200)))}"])
    assert max(len(argument) for argument in many.arguments) <= LONGEST + len("name=")
