"""Every command and every block of Python of the documentation works as typed; links lead somewhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import REPOSITORY, Typist, commands, package

PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
OWN_TEST = ("add_your_own.md", "use_a_part.md", "own_paths.md")
"""Pages whose examples have a test of their own."""

TRAINED = ["tandem-train experiment=busi data.root=PATH/Dataset_BUSI_with_GT"]
BEFORE = {"evaluate.md": TRAINED, "external_tests.md": TRAINED}
"""What a page takes for done."""

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
WHERE = [*PAGES, *REPOSITORY.glob("*.md")]


@pytest.mark.full
@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in OWN_TEST], ids=lambda page: page.stem)
def test_a_page_works_as_typed(
    page: Path,
    tmp_path: Path,
    in_process: Callable[..., Any],
    trees: Any,
    busi_tree: Callable[[int], Path],
) -> None:
    more = () if page.name == "dashboards.md" else ("logger=none",)
    typist = Typist(tmp_path, in_process, trees, busi_tree, more)
    for command in BEFORE.get(page.name, []):
        typist.type(command)
    typist.page(page)


@pytest.mark.parametrize("page", WHERE, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http", "mailto")):
            continue
        there = page.parent / link
        assert there.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor[1:] in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}, anchor


def test_every_page_is_listed() -> None:
    listed = {link for link, _ in LINK.findall((REPOSITORY / "docs" / "README.md").read_text(encoding="utf-8"))}
    assert {page.name for page in PAGES} - {"README.md"} <= listed


def test_commands_of_pages_are_known() -> None:
    """So that none of them is passed over."""
    typed = {command for page in WHERE if page.name not in OWN_TEST for command in commands(page)}
    others = {command.split()[0] for command in typed if package(command) is None}
    assert others == {"make", "tensorboard"}
    assert len(typed) > 50
