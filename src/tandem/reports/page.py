"""Self-contained HTML pages: the parts that all pages share."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

from tandem.utils.names import printable

STYLE = """
:root {
  color-scheme: light dark; --text: #222; --page: #fff; --soft: #606060; --line: #999; --faint: #ddd; --code: #f4f4f4;
  --warn: #fff4e0; --warn-edge: #d98000; --answer: #eaf3fb; --answer-edge: #0072b2; --link: #0060a0; --row: #eef5fb;
}
@media (prefers-color-scheme: dark) { :root {
  --text: #e4e4e4; --page: #16181b; --soft: #a8a8a8; --line: #777; --faint: #3a3d42; --code: #23262a;
  --warn: #3a2c12; --warn-edge: #e69f00; --answer: #14293a; --answer-edge: #56b4e9; --link: #7cc0f0; --row: #22303c;
} }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 66rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
a { color: var(--link); }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2.2rem; border-top: 1px solid var(--faint); padding-top: .8rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p.note { color: var(--soft); margin-top: .2rem; }
p.answer { font-size: 1.15rem; background: var(--answer); border-left: 4px solid var(--answer-edge);
  padding: .6rem .9rem; margin: .9rem 0; }
.scroll { overflow-x: auto; background: linear-gradient(to left, var(--page) 40%, transparent) right / 3rem 100% local,
  linear-gradient(to left, var(--faint), transparent) right / 1rem 100% scroll; background-repeat: no-repeat; }
.scroll td:first-child, .scroll th:first-child { position: sticky; left: 0; background: var(--page); }
table { border-collapse: collapse; } td, th { padding: .2rem .9rem .2rem 0; text-align: left; }
thead th { border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
tr.first td { border-top: 1px solid var(--faint); }
figure { margin: 0 1rem 1rem 0; display: inline-block; vertical-align: top; max-width: 100%; }
figcaption { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; } img.plot { width: 30rem; }
img.panels { width: 40rem; image-rendering: pixelated; }
img.plot, img.square, img.wide { background: #fff; border-radius: 4px; }
ul.warnings { background: var(--warn); border-left: 4px solid var(--warn-edge); padding: .6rem .6rem .6rem 1.8rem; }
details { margin-top: 1rem; } summary { cursor: pointer; }
pre { background: var(--code); padding: .8rem; overflow-x: auto; font-size: .8rem; }
@media (max-width: 40rem) { body { margin: 1rem auto; padding: 0 .7rem; } td, th { padding-right: .5rem; }
  table.numbers { font-size: .78rem; } table.numbers td.wide { white-space: normal; } }
"""
"""Style of all pages: light or dark as the reader's system asks; wide tables scroll inside the page."""


GAP = 4
"""Pixels between two cases of a sheet of panels, which a page shows one by one."""


def document(title: str, parts: Sequence[str], style: str = "") -> str:
    """Returns a complete page that loads nothing from elsewhere.

    Args:
        title: title of the browser's tab; any text.
        parts: HTML of the body, in order.
        style: additional CSS.
    """
    body = "\n".join(parts)
    return printable(
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><title>{escape(title)}</title>"
        f"<link rel='icon' href='data:,'><style>{STYLE}{style}</style></head><body>{body}</body></html>\n"
    )


def answer(text: str) -> str:
    """Returns the sentence that a page begins with: what was asked, answered.

    Args:
        text: any text; it is escaped.
    """
    return f"<p class='answer'>{escape(text)}</p>"


def scroll(table: str) -> str:
    """Lets a table that is wider than the page scroll inside of it.

    Args:
        table: HTML.
    """
    return f"<div class='scroll'>{table}</div>"


def figure(drawn: Any, caption: str, css: str = "plot", dpi: int = 110) -> str:
    """Embeds a matplotlib figure; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return image(buffer.getvalue(), caption, css)


def image(png: bytes, caption: str, css: str) -> str:
    """Embeds a PNG image with its caption."""
    data = base64.b64encode(png).decode()
    shown = escape(caption)
    return (
        f"<figure><img class='{css}' alt='{shown}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{shown}</figcaption></figure>"
    )


def details(title: str, text: str) -> str:
    """Returns plain text that is shown when its title is clicked."""
    return folded(title, f"<pre>{escape(text)}</pre>")


def folded(title: str, html: str) -> str:
    """Returns HTML that is shown when its title, a plain text, is clicked."""
    return f"<details><summary>{escape(title)}</summary>{html}</details>"
