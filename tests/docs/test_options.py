"""The reference of options has every option of every yaml."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from docs import options


def leaves(node: Any, start: str = "") -> set[str]:
    """Dotted names of all values, read by a parser of yaml."""
    if not isinstance(node, dict) or not node:
        return {start}
    return {name for key, value in node.items() for name in leaves(value, f"{start}.{key}" if start else str(key))}


FILES = sorted(path for path in options.CONF.rglob("*.yaml") if path.parent.name != "local")
"""All but a person's own."""


def missing(path: Path) -> set[str]:
    """Options of a file that the reference lacks; a value in braces is one option."""
    read = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(read, dict)
    expected = leaves({key: value for key, value in read.items() if key not in options.HIDDEN}) - {""}
    found = {option.name for option in options.read(path, path.stem).options}
    return {name for name in expected if not any(name == one or name.startswith(f"{one}.") for one in found)}


def test_no_option_is_missing() -> None:
    files = [path for path in FILES if path.parent.name not in options.AS_WRITTEN]
    assert {str(path): lacking for path in files if (lacking := missing(path))} == {}


def test_every_group_has_a_page() -> None:
    folders = {path.parent.relative_to(options.CONF).as_posix() for path in FILES}
    assert {folder for folder in folders if folder != "." and "shared" not in folder} == set(options.GROUPS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" 3.0 # of it", ("3.0", "of it")),
        (" '#fff' # colour, 'quoted'", ("'#fff'", "colour, 'quoted'")),
        (" a#b", ("a#b", "")),
        (" # of all below", ("", "of all below")),
    ],
)
def test_comments_are_cut(text: str, expected: tuple[str, str]) -> None:
    assert options.cut_comment(text) == expected


def test_a_default_and_its_comment_stand_in_one_row() -> None:
    page = options.group_page("loss/binary")
    assert "Options, set with `tasks.segmentation.loss.NAME=VALUE`:" in page
    assert "| `gamma` | `2.0` | focusing, \\>= 0; 0 is bce |" in page
    assert "| `progress` | `Progress` |  |" in options.group_page("callbacks")


def test_a_list_below_its_key_is_its_default() -> None:
    shown = options.read(options.CONF / "callbacks" / "default.yaml", "default").options
    assert next(option.default for option in shown if option.name == "epoch_log.show").startswith("[val/loss]")
