"""Prints a wide table of rich so that no word and no number is broken."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

ENDLESS = 10_000  # columns of a terminal that breaks nothing
TEXT = 24  # columns that a longer text gets, which is broken at spaces


def print_table(table: "Table", console: "Console", keep: int = 1) -> None:
    """Prints a table and breaks no number and no word: what does not fit follows below, beside the first columns.

    A pipe or a file gets the table as wide as it is.

    Args:
        table: with its rows; headings and texts are broken at spaces.
        console: the console to print to.
        keep: number of leading columns that each block repeats.
    """
    frame = sum(table.padding[1::2]) + (table.box is not None)
    whole = [_width(console, column, broken=False) + frame for column in table.columns]
    if sum(whole) < console.width:
        console.print(table)
    elif not console.is_terminal:
        from rich.console import Console

        Console(file=console.file, width=sum(whole) + 1).print(table)
    else:
        needed = [_width(console, column, broken=True) + frame for column in table.columns]
        for block in blocks(needed, console.width - 1, keep):
            part = copy(table)
            part.title = table.title if block[-1] < len(block) else None
            part.columns = [_of_width(table.columns[place], needed[place] - frame) for place in block]
            console.print(part)


def blocks(widths: Sequence[int], room: int, keep: int) -> Iterator[list[int]]:
    """Places of the columns of each block: the first `keep` of all, and as many more as there is room for.

    Args:
        widths: of the columns.
        room: width of a block; a block with one more column than `keep` may exceed it.
        keep: number of leading columns that each block repeats.

    Example:
        >>> list(blocks([4, 3, 3, 3, 3], 10, 1))
        [[0, 1, 2], [0, 3, 4]]
    """
    kept = list(range(min(keep, len(widths))))
    block = list(kept)
    for place in range(len(kept), len(widths)):
        if len(block) > len(kept) and sum(widths[one] for one in [*block, place]) > room:
            yield block
            block = list(kept)
        block.append(place)
    yield block


def _width(console: "Console", column: "Column", broken: bool) -> int:
    """Width of a column's heading and cells, on one line each or broken at spaces; numbers stand on the right."""
    from rich.measure import Measurement

    def measured(content: object) -> Measurement:
        return Measurement.get(console, console.options.update(width=ENDLESS), content)  # type: ignore[arg-type]

    heading = measured(column.header)
    cells = [measured(cell) for cell in column.cells]
    text = broken and column.justify == "left" and not column.no_wrap
    widths = [min(cell.maximum, max(cell.minimum, TEXT)) if text else cell.maximum for cell in cells]
    return max([heading.minimum if broken else heading.maximum, column.min_width or 0, *widths])


def _of_width(column: "Column", width: int) -> "Column":
    sized = copy(column)
    sized.width, sized.overflow = width, "fold"
    return sized
