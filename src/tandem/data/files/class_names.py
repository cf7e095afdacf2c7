"""Names of classes: as options give them, and as a table or a folder writes them."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from tandem.data.files.names import nfc

log = logging.getLogger(__name__)


class ClassNames:
    """The option `data.classes`.

    Args:
        given: names in the order of their indices, or a name for each value; None if the names are those that occur.

    Attributes:
        classes: the names in the order of their indices; None if they are not given.
        values: the values that have a name, or the names; empty if they are not given.
    """

    def __init__(self, given: Sequence[str] | Mapping[str, str] | None) -> None:
        pairs: list[tuple[str, str]] = []
        if isinstance(given, Mapping):
            pairs = [(nfc(str(value)), nfc(str(name))) for value, name in given.items()]
        elif given is not None:
            pairs = [(nfc(str(name)), nfc(str(name))) for name in given]
        self.named = dict(pairs)
        self.classes = None if given is None else tuple(dict.fromkeys(name for _, name in pairs))
        self.values = tuple(self.named)

    def lookup(self, classes: Iterable[str]) -> Callable[[str], str | None]:
        """Returns a function that gives the class of a label in a table or path; None for an unknown label.

        Numbers are compared as numbers and true and false in any case, unless the text itself is a value.

        Args:
            classes: the names of the classes.

        Example:
            >>> name_of = ClassNames({"0": "benign", "1": "malignant"}).lookup(["benign", "malignant"])
            >>> name_of("1.0"), name_of("malignant"), name_of("2")
            ('malignant', 'malignant', None)
        """
        exact = {**{name: name for name in classes}, **self.named}
        alike = {_plain(value): name for value, name in self.named.items()}
        return lambda label: exact.get(label) or alike.get(_plain(label))


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels that occur as names of classes: numbers in numerical order, then words.

    Warns of names that differ only in case, or in how a number is written.
    """
    names = tuple(sorted(set(labels), key=_natural))
    alike: dict[object, list[str]] = {}
    for name in names:
        alike.setdefault(_plain(name), []).append(name)
        if isinstance(_plain(name), str):
            alike.setdefault(("case", name.casefold()), []).append(name)
    if doubtful := next((group for group in alike.values() if len(group) > 1), None):
        pairs = ", ".join(f"{name}: {doubtful[0]}" for name in doubtful)
        log.warning(
            "the classes %s may be one: if so, set data.classes={%s, ...}", " and ".join(map(repr, doubtful)), pairs
        )
    return names


def _plain(text: str) -> object:
    """What a label means: a number, a truth value, or the text.

    Example:
        >>> _plain("1.0") == _plain("01"), _plain("TRUE") == _plain("true"), _plain("a") == _plain("A")
        (True, True, False)
    """
    try:
        number = float(text)
    except ValueError:
        return ("truth", text.casefold()) if text.casefold() in ("true", "false") else text
    return number if math.isfinite(number) else text


def _natural(name: str) -> tuple[bool, int, str]:
    """Sort key: numbers in numerical order, then words."""
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
