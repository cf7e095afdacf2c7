"""Settings of the site; `make docs` builds it with `build.py`, which adds the pages of the reference."""

import re
from importlib.metadata import version as installed

from sphinx.application import Sphinx

project = "tandem"
author = "The tandem developers"
copyright = "the tandem developers, MIT licence"
release = version = installed("tandem-mtl")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["examples/**", "**/README.md"]
root_doc = "index"
myst_heading_anchors = 3
nb_execution_mode = "force"  # notebooks are stored without results
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
suppress_warnings = ["toc.empty_glob"]  # a section may have no page of a kind

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_include_init_with_doc = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [(name, "params_style") for name in ("Shapes", "Required", "Optional")]

html_theme = "pydata_sphinx_theme"
html_title = "tandem"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app: Sphinx) -> None:
    """Has docstrings translated before anything else reads them."""
    app.connect("autodoc-process-docstring", translate, priority=100)


def translate(_app: Sphinx, what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Turns what docstrings have of Markdown into reStructuredText.

    `code` becomes literal, `*` and `|` mean themselves, and a block that is indented after a colon is code.
    """
    if (
        what in ("property", "attribute") and lines and ": " in lines[0]
    ):  # else what stands before it is taken for a type
        lines[:1] = [f"{lines[0].partition(': ')[0]}:", lines[0].partition(": ")[2]]
    blocks: list[str] = []
    code = False
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        before = blocks[-1] if blocks else ""
        opens = before.endswith(":") and " " in before.strip().splitlines()[-1] and indent(block) > indent(before)
        if opens and ">>>" not in block:
            blocks[-1] = f"{before}:"
        code = ">>>" in block or opens
        blocks.append(block if code else as_rst(block))
    lines[:] = "\n\n".join(blocks).split("\n")


def indent(block: str) -> int:
    """Indentation of the last line of a paragraph."""
    last = block.rstrip().rpartition("\n")[2]
    return len(last) - len(last.lstrip())


def as_rst(text: str) -> str:
    """One paragraph of text, as reStructuredText; one with an odd number of backticks is left as it is."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return text
    plain = [re.sub(r"([*|\\])", r"\\\1", part) for part in parts[::2]]
    return "".join(f"{a}``{b}``" if b else a for a, b in zip(plain, [*parts[1::2], ""], strict=True))
