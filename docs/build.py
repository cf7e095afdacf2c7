"""Builds the site: `python -m docs.build build/docs`; the pages are then in `build/docs/html`.

The pages of `docs/` are copied, those of the reference are made, and the sections of `docs/README.md` become the parts
of the site. Warnings are errors.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from docs import api, options

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent

OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Dockerfile")
"""Pages and files at the top of the repository that the site has too."""

MADE = {"Reference": ("Options <options/index>", "Python API <api/index>")}
"""Pages that a section has beside those that it lists."""

LINK = re.compile(r"^\| \[([^\]]+)\]\(([^)\s]+)\.(?:md|ipynb)\)", flags=re.MULTILINE)
"""The first cell of a row in the list of pages: title and page."""


def main() -> int:
    """Builds the site, and returns Sphinx's exit code."""
    parser = argparse.ArgumentParser(description="Builds the site of the documentation.")
    parser.add_argument("out", type=Path, help="folder of the site; what it holds is replaced")
    out = parser.parse_args().out
    assemble(out / "source")
    from sphinx.cmd.build import build_main

    shutil.rmtree(out / "html", ignore_errors=True)
    return build_main(["-W", "--keep-going", "-q", "-d", str(out / "doctrees"), str(out / "source"), str(out / "html")])


def assemble(source: Path) -> None:
    """Puts all pages together in a folder of their own."""
    shutil.rmtree(source, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "build.py", "api.py", "options.py", ".ipynb_checkpoints")
    shutil.copytree(DOCS, source, ignore=ignored)
    shutil.copytree(REPOSITORY / "results", source / "results")
    for name in OUTSIDE:
        shutil.copy(REPOSITORY / name, source / name)
    for path in source.glob("*.md"):
        path.write_text(as_in_the_site(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in source.glob("results/**/*.md"):
        table = path.read_text(encoding="utf-8").replace("## ", "# ", 1)
        path.write_text(f"---\norphan: true\n---\n\n{table}", encoding="utf-8")
    options.write(source / "options")
    api.write(source / "api")
    sections(source)


def as_in_the_site(text: str) -> str:
    """Lets links to `../NAME` and `docs/NAME` lead to the copies of those pages, which lie side by side."""
    return re.sub(r"\]\((?:\.\./|docs/)(?=[^)]+\))", "](", text)


def sections(source: Path) -> None:
    """Makes a page of each section of the list of pages, and the first page of the site of it all."""
    listed = (source / "README.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## ", listed, flags=re.MULTILINE)
    names = []
    for part in parts:
        title, _, body = part.partition("\n")
        name = f"part_{title.lower().replace(' ', '_')}"
        names.append(name)
        pages = [f"{text} <{page}>" for text, page in LINK.findall(body)] + list(MADE.get(title, ()))
        (source / f"{name}.md").write_text(f"# {title}\n{body.rstrip()}\n\n{toctree(pages)}", encoding="utf-8")
    (source / "index.md").write_text(f"{listed.rstrip()}\n\n{toctree(names)}", encoding="utf-8")
    (source / "README.md").unlink()


def toctree(pages: list[str]) -> str:
    """Sphinx's list of pages, which the reader sees as navigation only."""
    return "\n".join(["```{toctree}", ":hidden:", "", *pages, "```", ""])


if __name__ == "__main__":
    sys.exit(main())
