"""What reaches a terminal or a log: names from files cannot move its cursor, clear it or colour it."""

import logging
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tandem.utils.names import printable

log = logging.getLogger(__name__)


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


class PrintableFormatter(logging.Formatter):
    """Formats records, with control characters in them escaped; the configuration of the log names it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return printable(super().format(record))


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes to what stdout is at the moment: while a progress bar is shown, its lines stay above the bar."""

    def __init__(self, stream: object = None) -> None:
        super().__init__(sys.stdout)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        self.stream = sys.stdout
        super().emit(record)


def only_warnings() -> None:
    """Keeps what a job of a sweep logs off the terminal, where the sweep logs a line for each job; its file has all."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ConsoleHandler) or type(handler) is logging.StreamHandler:  # files: a subclass
            handler.setLevel(logging.WARNING)


def silence() -> None:
    """Keeps all that is logged or warned of to itself: in a process that says the same as another."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


@contextmanager
def warnings_logged() -> Iterator[None]:
    """Inside, a warning of a library is one line of the log, and each is logged once."""
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
        line = f"{category.__name__}: {' '.join(str(message).split())}"
        if line not in seen:
            seen.add(line)
            log.warning("%s", line)

    before, warnings.showwarning = warnings.showwarning, show
    try:
        yield
    finally:
        warnings.showwarning = before


def escape(text: str) -> str:
    r"""Text for a table of rich: neither its markup nor control characters have an effect.

    Example:
        >>> escape("[red]\x1b[2J")
        '\\[red]\\x1b[2J'
    """
    from rich.markup import escape as escape_markup

    return escape_markup(printable(text))
