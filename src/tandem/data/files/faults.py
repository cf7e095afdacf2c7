"""Faults of a data set: all of them found before one error tells of them."""

from collections.abc import Sequence
from typing import Literal

from tandem.errors import ConfigError, DataError

SHOWN_FAULTS = 10

OnError = Literal["fail", "skip"]


class FaultyDataError(DataError):
    """Several things that cannot be used, in one error: the first of them are shown, all of them are kept.

    Args:
        faults: at least one line each, with file and row.
        total: how many things were looked at.
        what: what these things are.

    Attributes:
        faults: every line.
    """

    def __init__(self, faults: Sequence[str], total: int, what: str = "pictures") -> None:
        self.faults = tuple(faults)
        lines = list(faults[:1])
        if len(faults) > 1:
            lines = [f"{len(faults)} of {total} {what} cannot be used; the first: {faults[0]}"]
            lines += faults[1:SHOWN_FAULTS]
        if len(faults) > SHOWN_FAULTS:
            lines.append(f"... and {len(faults) - SHOWN_FAULTS} more")
        super().__init__(";\n  ".join(lines))  # the command line shows it as one line


def refuse(faults: Sequence[str], total: int, what: str = "pictures") -> None:
    """Raises one error for all faults found; its first line stands on its own.

    Args:
        faults: one line each; none raises nothing.
        total: how many things were looked at.
        what: what these things are.

    Raises:
        FaultyDataError: the count, the first fault, and on further lines the next ones, ten in all.
    """
    if faults:
        raise FaultyDataError(faults, total, what)


def check_on_error(value: str) -> OnError:
    """What a faulty row leads to: `fail` or `skip`.

    Raises:
        ConfigError: another word.
    """
    if value == "fail":
        return "fail"
    if value == "skip":
        return "skip"
    raise ConfigError(f"data.on_error is {value!r}, but must be 'fail' or 'skip'")


class Faults:
    """Collects what is wrong with rows, so that one error, or one file in the run's folder, tells of all of it.

    Args:
        on_error: `fail` refuses the data set once everything was looked at, `skip` leaves faulty rows out.

    Attributes:
        found: a line for each fault.

    Example:
        >>> faults = Faults("skip")
        >>> faults.add("'a.png' is empty: fetch the file again")
        >>> faults.settle(3)
        >>> len(faults.found)
        1
    """

    def __init__(self, on_error: OnError) -> None:
        self.on_error = on_error
        self.found: list[str] = []

    def add(self, fault: str, place: str = "") -> None:
        """Notes a fault; `place` names the row, where it comes from a table."""
        self.found.append(f"{place}: {fault}" if place else fault)

    def settle(self, total: int, what: str = "pictures") -> None:
        """Ends the looking.

        Args:
            total: how many things were looked at.
            what: what these things are.

        Raises:
            FaultyDataError: there are faults, and they are not to be skipped.
        """
        if self.on_error == "fail":
            refuse(self.found, total, what)
