"""Faults of a data set: collect all of them, then report them in one error."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Literal

from tandem.errors import ConfigError, DataError

SHOWN_FAULTS = 3
"""Lines of a message; a file has all of them."""

OnError = Literal["fail", "skip"]


class FaultyDataError(DataError):
    """Reports several faults in one error: the message shows a few of them, the attribute keeps all.

    Faults of different kinds are shown before further faults of one kind.

    Args:
        faults: at least one; a line each, which names file and row.
        total: number of things that were checked.
        what: what these things are called.
        head: the beginning of the message, if there are several faults; by default, how many things cannot be used.

    Attributes:
        faults: all lines.
    """

    def __init__(self, faults: Sequence[str], total: int, what: str = "images", head: str = "") -> None:
        self.faults = tuple(faults)
        lines = list(faults[:1])
        if len(faults) > 1:
            shown = _of_each_kind(faults)
            lines = [f"{head or f'{len(faults)} of {total} {what} cannot be used'}; the first: {shown[0]}", *shown[1:]]
        if len(faults) > SHOWN_FAULTS:
            lines.append(f"... and {len(faults) - SHOWN_FAULTS} more")
        super().__init__(";\n  ".join(lines))  # the command line shows it as one line


def _of_each_kind(faults: Sequence[str]) -> list[str]:
    """The faults to show, in their order: the first of each kind, then others. A kind is a text without its names."""
    kinds: dict[str, int] = {}
    for place, fault in enumerate(faults):
        kinds.setdefault(re.sub(r"'[^']*'|\d+", "", fault), place)
    first = [*kinds.values()][:SHOWN_FAULTS]
    others = (place for place in range(len(faults)) if place not in first)
    return [faults[place] for place in sorted([*first, *islice(others, SHOWN_FAULTS - len(first))])]


def refuse(faults: Sequence[str], total: int, what: str = "images") -> None:
    """Raises one error for all faults; its first line makes sense on its own.

    Args:
        faults: one line each; if there are none, nothing is raised.
        total: number of things that were checked.
        what: what these things are called.

    Raises:
        FaultyDataError: names the number of faults and three of them.
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
