"""The option `by`: the columns by which images are grouped, and the ends of bands."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tandem.errors import ConfigError

EXAMPLE = "by=site, by=site,sex or by=age:40,60"


@dataclass(frozen=True)
class Grouping:
    """A column by which images are grouped.

    Attributes:
        column: its name.
        ends: for numbers, the ends of the bands in ascending order; empty: each value is a group.
    """

    column: str
    ends: tuple[float, ...] = ()


def read_by(config: Mapping[str, Any]) -> tuple[Grouping, ...]:
    """Reads `by` of `conf/evaluate.yaml`: a name, a list of names, or bands by name; `age:40,60` names bands too.

    Raises:
        ConfigError: it is none of these, a column is named twice, or ends of bands are no ascending numbers.

    Example:
        >>> read_by({"by": ["site", "age:40,60"]})
        (Grouping(column='site', ends=()), Grouping(column='age', ends=(40.0, 60.0)))
    """
    found = tuple(_groupings(config.get("by")))
    names = [grouping.column for grouping in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"by names '{twice[0]}' twice; name each column once")
    table = config.get("table")
    if table is not None and not found:
        raise ConfigError("table holds the columns of by; give by=COLUMN too, or leave table out")
    if table is not None and not Path(str(table)).expanduser().is_file():
        raise ConfigError(
            f"table={table} is no file; give a csv or Parquet file with a column id and the columns of by"
        )
    return found


def _groupings(given: Any) -> Iterator[Grouping]:
    if given is None:
        return
    if isinstance(given, str) and given.strip():
        name, sign, ends = given.partition(":")
        yield Grouping(name.strip(), _ends(name, ends.split(",")) if sign else ())
    elif isinstance(given, Mapping):
        for name, ends in given.items():
            yield Grouping(str(name), () if ends is None else _ends(str(name), ends))
    elif isinstance(given, Sequence) and given and not isinstance(given, str):
        yield from _of_list(given)
    else:
        raise ConfigError(f"by is {given!r}, but must name columns, such as {EXAMPLE}")


def _of_list(given: Sequence[Any]) -> Iterator[Grouping]:
    """Groupings of a list; numbers in it are further ends of the bands before them: `[age:40,60,site]`."""
    found: list[Grouping] = []
    for entry in given:
        if isinstance(entry, int | float) and not isinstance(entry, bool) and found and found[-1].ends:
            before = found.pop()
            found.append(Grouping(before.column, _ends(before.column, [*before.ends, entry])))
        else:
            found += _groupings(entry)
    yield from found


def as_list(word: str) -> str:
    """A typed `by` with commas as a list, since Hydra takes commas outside of brackets for a sweep.

    Example:
        >>> as_list("by=age:40,60"), as_list("by=[site,sex]"), as_list("split=val")
        ('by=[age:40,60]', 'by=[site,sex]', 'split=val')
    """
    key, _, value = word.partition("=")
    plain = key == "by" and "," in value and value[0] not in "[{'\""
    return f"by=[{value}]" if plain else word


def _ends(name: str, given: Any) -> tuple[float, ...]:
    wrong = f"by: the ends of the bands of '{name}' are {given!r}, but must be ascending numbers, such as [40, 60]"
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise ConfigError(wrong)
    try:
        ends = tuple(float(end) for end in given)
    except (TypeError, ValueError) as error:
        raise ConfigError(wrong) from error
    if any(not one < other for one, other in pairwise(ends)) or any(end != end for end in ends):
        raise ConfigError(wrong)
    return ends
