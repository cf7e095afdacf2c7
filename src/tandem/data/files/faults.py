"""Faults of a data set: collect all of them, then report them in one error."""

from collections.abc import Sequence
from typing import Literal

from tandem.errors import ConfigError, DataError

SHOWN_FAULTS = 10

OnError = Literal["fail", "skip"]


class FaultyDataError(DataError):
    """Reports several faults in one error: the message shows the first ones, the attribute keeps all.

    Args:
        faults: at least one; a line each, which names file and row.
        total: number of things that were checked.
        what: what these things are called.

    Attributes:
        faults: all lines.
    """

    def __init__(self, faults: Sequence[str], total: int, what: str = "images") -> None:
        self.faults = tuple(faults)
        lines = list(faults[:1])
        if len(faults) > 1:
            lines = [f"{len(faults)} of {total} {what} cannot be used; the first: {faults[0]}"]
            lines += faults[1:SHOWN_FAULTS]
        if len(faults) > SHOWN_FAULTS:
            lines.append(f"... and {len(faults) - SHOWN_FAULTS} more")
        super().__init__(";\n  ".join(lines))  # the command line shows it as one line


def refuse(faults: Sequence[str], total: int, what: str = "images") -> None:
    """Raises one error for all faults; its first line makes sense on its own.

    Args:
        faults: one line each; if there are none, nothing is raised.
        total: number of things that were checked.
        what: what these things are called.

    Raises:
        FaultyDataError: names the number of faults and the first ten of them.
    """
    if faults:
        raise FaultyDataError(faults, total, what)


def check_on_error(value: str) -> OnError:
    """Checks `data.on_error`, the reaction to a faulty row: `fail` or `skip`.

    Raises:
        ConfigError: any other value.
    """
    if value == "fail":
        return "fail"
    if value == "skip":
        return "skip"
    raise ConfigError(f"data.on_error is {value!r}, but must be 'fail' or 'skip'")


class Faults:
    """Collects the faults of rows, so that one error, or one file in the run's folder, reports all of them.

    Args:
        on_error: `fail` raises once all rows were checked, `skip` leaves faulty rows out.

    Attributes:
        found: a line for each fault.

    Example:
        >>> faults = Faults("skip")
        >>> faults.add("'a.png' is empty: download the file again")
        >>> faults.settle(3)
        >>> len(faults.found)
        1
    """

    def __init__(self, on_error: OnError) -> None:
        self.on_error = on_error
        self.found: list[str] = []

    def add(self, fault: str, place: str = "") -> None:
        """Adds a fault; `place` names the row of a table, if it comes from one."""
        self.found.append(f"{place}: {fault}" if place else fault)

    def settle(self, total: int, what: str = "images") -> None:
        """Raises the collected faults, unless they are skipped.

        Args:
            total: number of things that were checked.
            what: what these things are called.

        Raises:
            FaultyDataError: there are faults and `on_error` is `fail`.
        """
        if self.on_error == "fail":
            refuse(self.found, total, what)
