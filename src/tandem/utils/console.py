"""What reaches a terminal or a log: names from files cannot move its cursor, clear it or colour it."""

import logging

from tandem.utils.names import printable


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
