"""Prints an audit on the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tandem.audit.remarks import remarks
from tandem.audit.tables import Sheet, on_the_right, sheets
from tandem.utils.console import escape
from tandem.utils.names import printable
from tandem.utils.terminal_table import print_table

if TYPE_CHECKING:
    from tandem.audit.audit import Audit

SHOWN_FAULTS = 5
LONGEST = 20  # maximum number of rows of a table; the page has all


def print_audit(audit: "Audit", page: Path) -> None:
    """Prints the tables, the first faults, the remarks, and the path of the page."""
    console = Console()
    for sheet in sheets(audit):
        print_table(_table(sheet), console)

    def show(line: str, style: str | None = None) -> None:
        console.print(printable(line), style=style, markup=False, highlight=False, soft_wrap=True)

    for fault in audit.faults[:SHOWN_FAULTS]:
        show(f"fault: {' '.join(fault.split())}", "red")
    if len(audit.faults) > SHOWN_FAULTS:
        show(f"... and {len(audit.faults) - SHOWN_FAULTS} more in {page.with_name('faults.txt')}", "red")
    for line in remarks(audit):
        show(f"note: {line}", "yellow")
    show(f"{page}")


def _table(sheet: Sheet) -> Table:
    title = sheet.title
    if len(sheet.rows) > LONGEST:
        title += f" (the first {LONGEST} of {len(sheet.rows)} rows)"
    table = Table(title=escape(title), title_justify="left")
    for column, name in enumerate(sheet.head):
        right = on_the_right(row[column] for row in sheet.rows)
        table.add_column(escape(name), justify="right" if right else "left")
    for row in sheet.rows[:LONGEST]:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table
