"""Missing values that are written as text: one list for all columns of a table."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tandem.data.files.names import nfc
from tandem.errors import ConfigError

log = logging.getLogger(__name__)

MISSING = (
    "nan",
    "-nan",
    "na",
    "n/a",
    "n.a.",
    "#n/a",
    "#na",
    "<na>",
    "nat",
    "none",
    "null",
    "nil",
    "-",
    "--",
    "?",
    "unknown",
)
"""Words that mean that a value is missing, as pandas, R, Excel, SQL and people write them; in any case."""


class MissingValues:
    """Recognises missing values in the cells of a table, and counts them by column.

    An empty cell is always missing. A word that is the name of a class is a class.

    Args:
        words: words that stand for a missing value; case and surrounding blanks do not matter.
        classes: names of classes, or values that have a name.

    Raises:
        ConfigError: it is no list, or a word is not text.

    Example:
        >>> values = MissingValues()
        >>> values.clean("label", " N/A "), values.clean("label", "benign"), values.clean("label", "")
        ('', 'benign', '')
        >>> values.to_json()
        {'label': {'N/A': 1, '': 1}}
    """

    def __init__(self, words: Iterable[str] = MISSING, classes: Iterable[str] = ()) -> None:
        if isinstance(words, str):
            raise ConfigError(f"data.missing is {words!r}, but must be a list of words, such as [{words}]")
        given = list(words)
        if wrong := [word for word in given if not isinstance(word, str)]:
            raise ConfigError(f"data.missing has {wrong[0]!r}, but must be a list of words; put it in quotes")
        self.words = frozenset(nfc(word).strip().casefold() for word in given) | {""}
        self.classes = frozenset(classes)
        self.found: dict[str, Counter[str]] = {}

    def clean(self, column: str, cell: str) -> str:
        """The text of a cell without surrounding blanks; empty if it is a missing value, which is counted.

        Args:
            column: name of the column.
            cell: its text.
        """
        text = cell.strip()
        if nfc(text).casefold() not in self.words:
            return text
        self.found.setdefault(column, Counter())[text] += 1
        return ""

    def clean_label(self, column: str, cell: str) -> str:
        """As `clean`, but a word that `data.classes` names is a class; in Unicode's NFC, as names of classes are."""
        text = nfc(cell.strip())
        return text if text in self.classes else nfc(self.clean(column, cell))

    def to_json(self) -> dict[str, dict[str, int]]:
        """The number of missing values by column and by how they are written."""
        return {column: dict(words.most_common()) for column, words in self.found.items()}

    def report(self, name: str, label: Sequence[str] = ()) -> None:
        """Logs the counts in one line; as a warning if labels are missing by a word, which might be a class.

        Args:
            name: the data set.
            label: names of the columns with the class.
        """
        if not self.found:
            return
        words = sorted({word for column in label for word in self.found.get(column, ()) if word})
        hint = f"; if {words[0]!r} is a class, name it in data.classes or remove it from data.missing" if words else ""
        log.log(logging.WARNING if words else logging.INFO, "data %s: %s%s", name, missing_line(self.to_json()), hint)


def missing_line(found: Mapping[str, Mapping[str, int]]) -> str:
    """One line about missing values.

    Args:
        found: as from `MissingValues.to_json`.

    Example:
        >>> missing_line({"label": {"nan": 8, "": 2}, "age": {"": 1}})
        "missing values: label 10 ('nan' 8, empty 2), age 1 (empty 1)"
    """
    parts = []
    for column, words in found.items():
        spelt = ", ".join(f"{repr(word) if word else 'empty'} {count}" for word, count in words.items())
        parts.append(f"{column} {sum(words.values())} ({spelt})")
    return f"missing values: {', '.join(parts)}"
