"""The pages show the examples as they are, and the examples run; `tests/extend` runs those of own parts."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

SHOWN = re.compile(r"^\[[^\]]+\]\((examples/[^)]+)\)\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shown(page: str) -> dict[str, str]:
    """The files that a page shows, by their path in docs."""
    return dict(SHOWN.findall((DOCS / page).read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", ["add_your_own.md", "use_a_part.md"])
def test_what_a_page_shows_is_the_file(page: str) -> None:
    found = shown(page)
    assert found
    for name, text in found.items():
        assert text == (DOCS / name).read_text(encoding="utf-8"), f"{page} shows another {name}; copy it there"


def test_every_example_is_shown() -> None:
    files = {path.relative_to(DOCS).as_posix() for path in (DOCS / "examples").rglob("*.*") if path.suffix != ".pyc"}
    assert {name for name in files if (DOCS / name).is_file()} == {*shown("add_your_own.md"), *shown("use_a_part.md")}


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*LeafSpec.*", "ignore:.*logging interval")
def test_a_module_of_your_own_uses_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(DOCS / "examples" / "use_a_part" / "own_module.py"))["main"]
    found = main(epochs=2)
    assert 0.1 <= found["test/threshold"] <= 0.9
    assert found["test/dice"] > 0.1
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 3
