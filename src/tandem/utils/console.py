"""What reaches a terminal or a log: names from files cannot move its cursor, clear it or colour it."""

import logging
import shutil
import sys

from tandem.utils.names import printable


def announce(line: str) -> None:
    """Prints a line where people see it and no program reads it: to a terminal, on stderr.

    Args:
        line: what has started; cut to the width of the terminal.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        text = f"{printable(line)} ..."
        width = shutil.get_terminal_size().columns
        text = text if len(text) <= width else f"{text[: width - 4].rstrip(' .')} ..."
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def only_warnings() -> None:
    """Keeps what a job of a sweep logs off the terminal, where the sweep logs a line for each job; its file has all."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:  # files are written by a subclass
            handler.setLevel(logging.WARNING)


class PrintableFormatter(logging.Formatter):
    """Formats records, with control characters in them escaped; the configuration of the log names it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return printable(super().format(record))


def escape(text: str) -> str:
    r"""Text for a table of rich: neither its markup nor control characters have an effect.

    Example:
        >>> escape("[red]\x1b[2J")
        '\\[red]\\x1b[2J'
    """
    from rich.markup import escape as escape_markup

    return escape_markup(printable(text))
