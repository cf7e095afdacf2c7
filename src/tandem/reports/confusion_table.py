"""A confusion matrix as an HTML table: faster than a figure, and its numbers can be copied."""

from collections.abc import Sequence
from html import escape

STEPS = 10
"""Number of shades of a cell, by the share of the true class."""

STYLE = (
    "table.confusion td { text-align: center; padding: .3rem .8rem; } table.confusion small { opacity: .9; }\n"
    + "\n".join(
        f"td.s{step} {{ background: rgba(33, 113, 181, {step / STEPS}); {'color: #fff; ' if step > 8 else ''}}}"
        for step in range(STEPS + 1)
    )
)
"""CSS of the shades."""


def confusion_table(classes: Sequence[str], counts: Sequence[Sequence[int]], caption: str) -> str:
    """Renders a confusion matrix; rows are true classes, and each cell shows its count and its share of the row.

    Args:
        classes: names of the classes; any characters.
        counts: (C, C).
        caption: the caption below the table.

    Example:
        >>> "<td class='s7'>3<br><small>75%</small></td>" in confusion_table(["no", "yes"], [[3, 1], [0, 2]], "val")
        True
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in classes)
    rows = []
    for name, row in zip(classes, counts, strict=True):
        shares = [count / max(sum(row), 1) for count in row]
        cells = "".join(
            f"<td class='s{int(share * STEPS)}'>{count}<br><small>{share:.0%}</small></td>"
            for count, share in zip(row, shares, strict=True)
        )
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return (
        f"<figure><table class='confusion'><thead><tr><th>true \\ predicted</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><figcaption>{escape(caption)}</figcaption></figure>"
    )
