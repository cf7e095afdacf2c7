"""The report as plain data and as text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.utils.names import printable


@dataclass(frozen=True)
class Line:
    """One finding.

    Attributes:
        name: of what was looked at.
        value: what was found.
        fault: what does not work and how to fix it; empty if it works.
    """

    name: str
    value: str
    fault: str = ""


@dataclass(frozen=True)
class Section:
    """Findings of one kind.

    Attributes:
        title: of the section.
        lines: the findings in order.
    """

    title: str
    lines: Sequence[Line]


def faults(sections: Iterable[Section]) -> int:
    """Returns the number of findings that do not work."""
    return sum(bool(line.fault) for section in sections for line in section.lines)


def render(section: Section) -> str:
    """Returns a section as text: a line for each finding, faults marked with `!`; the home folder is written as `~`.

    Example:
        >>> print(render(Section("disk", [Line("runs", "2 GB free"), Line("cache", "read-only", "set TANDEM_CACHE")])))
        disk
          runs   2 GB free
        ! cache  read-only: set TANDEM_CACHE
    """
    width = max((len(line.name) for line in section.lines), default=0)
    rows = [section.title]
    for line in section.lines:
        text = ": ".join(part for part in (line.value, line.fault) if part)
        rows.append(f"{'!' if line.fault else ' '} {line.name:<{width}}  {_without_home(text)}".rstrip())
    return printable("\n".join(rows))


def _without_home(text: str) -> str:
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text
