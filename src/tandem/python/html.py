"""What notebooks show of configurations, runs and tables: small pieces of HTML, all text escaped."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from tandem.utils.names import printable


def page(title: str, *parts: str) -> str:
    """A heading and what follows it.

    Args:
        title: any text.
        parts: HTML.
    """
    return printable(f"<div><b>{escape(title)}</b>{''.join(parts)}</div>")


def table(head: Sequence[str], body: Iterable[Sequence[Any]]) -> str:
    """A table; numbers to the right, three digits behind the point.

    Example:
        >>> table(["a<b"], [[0.12345]])
        '<table><tr><th>a&lt;b</th></tr><tr><td style="text-align:right">0.123</td></tr></table>'
    """
    first = "".join(f"<th>{escape(str(name))}</th>" for name in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in body)
    return f"<table><tr>{first}</tr>{lines}</table>"


def rows(facts: Mapping[str, Any]) -> str:
    """A table of names and values."""
    lines = (f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items())
    return f"<table>{''.join(lines)}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td style="text-align:right">{"-" if math.isnan(value) else f"{value:.3f}"}</td>'
    side = ' style="text-align:right"' if isinstance(value, int) and not isinstance(value, bool) else ""
    return f"<td{side}>{'' if value is None else escape(str(value))}</td>"
