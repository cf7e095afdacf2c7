"""The site is built without a warning, and has every page."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.build import as_in_the_site
from tests.docs.pages import REPOSITORY


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](../CHANGELOG.md)", "[a](CHANGELOG.md)"),
        ("[a](docs/data.md#tables)", "[a](data.md#tables)"),
        ("[a](metrics.md)", "[a](metrics.md)"),
        ("[a](https://hydra.cc/docs/intro)", "[a](https://hydra.cc/docs/intro)"),
    ],
)
def test_links_fit_the_site(link: str, expected: str) -> None:
    assert as_in_the_site(link) == expected


@pytest.mark.full
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "docs.build", str(tmp_path)]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    html = tmp_path / "html"
    pages = {page.stem for page in (REPOSITORY / "docs").glob("*.md")} - {"README"}
    assert {f"{page}.html" for page in pages} <= {path.name for path in html.glob("*.html")}
    losses = re.sub(r"<[^>]+>", "", (html / "options" / "loss_binary.html").read_text(encoding="utf-8"))
    assert "Sigmoid focal loss" in losses
    assert "class tandem.losses.binary.Focal" in re.sub(
        r"\s+", " ", re.sub(r"<[^>]+>", "", (html / "api" / "tandem.losses.binary.html").read_text(encoding="utf-8"))
    )
    assert not list((REPOSITORY / "docs").rglob("generated")), "nothing is written into the sources"
