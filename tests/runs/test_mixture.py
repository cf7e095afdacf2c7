"""Runs that do not belong together are named and not averaged."""

from pathlib import Path
from typing import Any

import pytest

from tandem.data.shared_options import FileSource
from tandem.errors import ConfigError
from tandem.runs.mixture import NOT_FILES, mixtures, refuse_mixtures


def run(name: str, data: dict[str, Any] | None = None, **more: Any) -> tuple[Path, dict[str, Any]]:
    """A run's folder and results; the fingerprint follows from fold unless it is given."""
    settings = {"root": "d", "fold": 0, **(data or {})}
    split = more.pop("split", f"fold {settings['fold']}")
    found = {"fingerprint": {"train": split, "val": split, "test": split}, "content": more.pop("content", "same")}
    trainer = {"precision": more.pop("precision", "32-true")}
    versions = {"tandem": more.pop("tandem", "0.1.0")}
    return Path(name), {
        "data": found, "versions": versions, "device": "cpu", "config": {"data": settings, "trainer": trainer}, **more
    }  # fmt: skip


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (run("b"), None),
        (run("b", {"fold": 1}), None),
        (run("b", {"root": "e"}, content="other", split="other"), None),  # another data set, as its settings say
        (run("b", tandem="0.2.0"), "different versions of tandem"),
        (run("b", device="gpu"), "different devices: cpu (a), gpu (b)"),
        (run("b", device=None), None),
        (run("b", precision="bf16-mixed"), "different precisions"),
        (run("b", split="x"), "different versions of the data"),
        (run("b", {"fold": 1}, content="x"), "different versions of the data"),
        (run("b", {"size": 64}, split="x", content="x"), "different versions of the data"),
        (run("b", {"size": 64}, split="x"), None),
    ],
)
def test_what_differs_is_named(other: tuple[Path, dict[str, Any]], named: str | None) -> None:
    found = mixtures([run("a"), other])
    assert (named is None and not found) or (named is not None and len(found) == 1 and named in found[0]), found


def test_mixtures_are_refused_unless_allowed() -> None:
    runs = [run("a"), run("b", split="x")]
    with pytest.raises(ConfigError, match=r"the cell would average .*versions of the data.*add --mixed"):
        refuse_mixtures(runs, "the cell", "--mixed")
    assert len(refuse_mixtures(runs, "the cell", "")) == 1


def test_the_options_that_choose_no_files_are_those_that_all_sources_of_files_share() -> None:
    import inspect

    assert set(NOT_FILES) == set(inspect.signature(FileSource).parameters)
