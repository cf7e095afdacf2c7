"""Self-contained HTML pages: the parts that all pages share."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

from tandem.utils.names import printable

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
p.note { color: #666; margin-top: .2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .9rem .2rem 0; text-align: left; }
thead th { border-bottom: 1px solid #999; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tr.first td { border-top: 1px solid #ddd; }
figure { margin: 0 1rem 1rem 0; display: inline-block; vertical-align: top; }
figcaption { color: #666; font-size: .85rem; }
img { max-width: 100%; } img.plot { width: 30rem; } img.panels { width: 40rem; image-rendering: pixelated; }
ul.warnings { background: #fff4e0; border-left: 4px solid #d98000; padding: .6rem .6rem .6rem 1.8rem; }
details { margin-top: 1rem; } pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .8rem; }
"""


def document(title: str, parts: Sequence[str], style: str = "") -> str:
    """Returns a complete page that loads nothing from elsewhere.

    Args:
        title: title of the browser's tab; any text.
        parts: HTML of the body, in order.
        style: additional CSS.
    """
    body = "\n".join(parts)
    return printable(
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<link rel='icon' href='data:,'><style>{STYLE}{style}</style></head><body>{body}</body></html>\n"
    )


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
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
