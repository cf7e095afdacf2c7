"""The help of each command fits a screen, and every option explains itself in its first comment."""

import sys
from pathlib import Path

import pytest

from tandem.config.choices import Shelf, choices_of, keys_of, summary
from tandem.config.help_text import HEIGHT, WIDTH, help_text
from tandem.config.shipped import config_folder
from tandem.errors import ConfigError

PRIMARY = sorted(path.stem for path in config_folder().glob("*.yaml"))


@pytest.mark.parametrize("started", ["/usr/bin/tandem-train", "scripts/train.py"])
@pytest.mark.parametrize("primary", PRIMARY)
def test_the_help_of_a_command_fits_a_screen(primary: str, started: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    lines = help_text(primary).splitlines()
    assert 8 <= len(lines) <= HEIGHT == 40
    assert [line for line in lines if len(line) > WIDTH] == []
    folder = config_folder() / f"{primary}.yaml"
    told = {line.split()[0].partition("=")[0].rstrip(".") for line in lines if line.startswith("  ")}
    assert {choice.place for choice in choices_of(folder)} | {key.name for key in keys_of(folder)} <= told
    assert ("python scripts/" in "\n".join(lines)) is (started == "scripts/train.py")


def test_every_option_has_a_first_comment() -> None:
    shelf = Shelf()
    silent = [str(path) for group in shelf.groups() for path in shelf.options(group).values() if not summary(path)]
    assert silent == []


def test_a_group_shows_its_options_and_an_option_its_comments() -> None:
    assert "  folder      Your own images, described by their paths" in help_text("train", ["data"])
    shown = help_text("train", ["data=folder"])
    assert shown.startswith("data=folder\n# Your own images")
    assert "root: ???          # the folder; or a zip or tar archive of it" in shown
    assert "and the keys of data=folder" in help_text("train", ["data=ph2"])
    both = help_text("train", ["loss=focal"])
    assert both.index("loss/binary=focal") < both.index("loss/multiclass=focal")
    placed = help_text("train", ["loss/binary@tasks.segmentation.loss=dice"])
    assert placed.startswith("loss/binary=dice\n# Soft Dice loss")
    assert help_text("search", ["search.n_trials"]).startswith("search: # the search itself\n  n_trials: 30")
    assert "the folder Dataset" not in help_text("train", ["data.root"])
    assert "  data=busi        root: ???" in help_text("train", ["data.root"])


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("data=foldr", "no option 'foldr' in the config group 'data': did you mean 'folder'?"),
        ("task=[area,clasification]", "no option 'clasification' in the config group 'task': did you mean 'classific"),
        ("loss=focall", "no option 'focall' in the config group 'loss': did you mean 'focal'?"),
        ("netwrok", "--help netwrok: no such group or key; did you mean 'network'?"),
        ("data.rot", "--help data.rot: no such group or key; did you mean"),
    ],
)
def test_a_wrong_choice_gets_a_suggestion(word: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        help_text("train", [word])
    assert str(caught.value).startswith(line)


def test_options_of_a_folder_of_ones_own_are_listed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("# my \x1b[2Jimages\nroot: here\n")
    assert "  mine        my \\x1b[2Jimages" in help_text("train", ["data"], [tmp_path])
    assert "root: here" in help_text("train", ["data=mine"], [tmp_path])
