"""Reads JSON objects of which many are alike, such as the results of a study: only what is asked for, and once."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

INDENT = 2
"""Spaces by which `tandem.utils.files.as_json` indents the members of an object."""

CACHED = 4096
"""Texts of members whose values are kept; those in use stay."""

KEY = re.compile(r'((?:[^"\\]|\\.)*)": ')
"""A key behind its first quotation mark, as it is written."""


class Members(Mapping[str, Any]):
    r"""A JSON object, the text of which `as_json` wrote, whose members are read when they are asked for.

    Args:
        text: of the object.
        inner: dotted keys of members, and of their members, that are such objects too.
        depth: 1 for a whole file, one more for each object around it.

    Raises:
        ValueError: a member that is asked for is no JSON.

    Example:
        >>> Members('{\n  "seed": 1,\n  "loss": {\n    "gamma": 2\n  }\n}\n')["loss"]
        {'gamma': 2}
    """

    def __init__(self, text: str, inner: Collection[str] = (), depth: int = 1) -> None:
        self.text, self.depth, self.keys_inside = text, depth, inner

    @cached_property
    def texts(self) -> dict[str, str]:
        """The members' texts, by key."""
        return dict(_members(self.text, self.depth))

    @cached_property
    def inner(self) -> dict[str, "Members"]:
        """Members that are such objects."""
        return {
            key: Members(self.texts[key], [one.removeprefix(f"{key}.") for one in self.keys_inside], self.depth + 1)
            for key in self.keys_inside
            if self.texts.get(key, "").startswith("{")
        }

    def __getitem__(self, key: str) -> Any:
        return self.inner[key] if key in self.inner else json.loads(self.texts[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)


def made_of(node: Mapping[str, Any], key: str, make: Callable[[str, Any], Any], name: str | None = None) -> Any:
    """What a function makes of a member; of equal texts of `Members` it is made once, and shared.

    Args:
        node: has the key.
        key: of the member.
        make: a function of name and value.
        name: passed to it; None: the key.
    """
    name = key if name is None else name
    if isinstance(node, Members) and key not in node.inner:
        return _made(make, name, node.texts[key])
    return make(name, node[key])


@lru_cache(maxsize=CACHED)
def _made(make: Callable[[str, Any], Any], name: str, text: str) -> Any:
    return make(name, json.loads(text))


def _members(text: str, depth: int) -> Iterator[tuple[str, str]]:
    """Keys and texts of the members: a line break is never inside a string, and deeper members are indented more."""
    for part in text[: text.rfind("}")].split(f'\n{" " * (INDENT * depth)}"')[1:]:
        key, _, value = part.partition('": ')
        if "\\" in key:  # perhaps of a quotation mark
            written = KEY.match(part)
            key, value = (json.loads(f'"{written[1]}"'), part[written.end() :]) if written else (key, value)
        yield key, value.rstrip().removesuffix(",")
