"""Whether a plain value of a configuration is of a kind that the annotation of a parameter admits."""

import inspect
import types
from collections.abc import Mapping, Set
from typing import Annotated, Any, Literal, Union, get_args, get_origin

KINDS: Mapping[str, str] = {
    "NoneType": "null",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    **dict.fromkeys(("Path", "PathLike"), "text"),
    **dict.fromkeys(("list", "tuple", "set", "frozenset", "Sequence", "Iterable", "Collection", "Set"), "a list"),
    **dict.fromkeys(("dict", "Mapping", "MutableMapping"), "keys with values, such as {a: 1}"),
}
"""What a person writes for a type, by its name."""

NEVER_PLAIN = ("Tensor",)
"""Types that no plain value has, so that they do not count."""


def must_be(parameter: inspect.Parameter, value: Any) -> str | None:
    """What a value must be instead, in words; None if it fits, or if the annotation does not say.

    Numbers pass as text, 0 and 1 as booleans, and 5.0 as a whole number: libraries take them, and old runs have them.

    Example:
        >>> def f(rate: float, names: list[str] | None = None, on: bool = False): ...
        >>> rate, names, on = inspect.signature(f).parameters.values()
        >>> must_be(rate, "much"), must_be(names, "x"), must_be(on, True)
        ('a number', 'a list or null', None)
    """
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return None
    if isinstance(value, Mapping) and "_target_" in value:
        return None
    members = list(_members(parameter.annotation))
    choices = [member for member in members if get_origin(member) is Literal]
    named = [_name(member) for member in members if get_origin(member) is not Literal]
    kinds = [name for name in named if name not in NEVER_PLAIN]
    if not set(kinds) <= KINDS.keys() or not (kinds or choices):
        return None
    if isinstance(value, int | float) and any(KINDS[kind] == "a list" for kind in kinds):
        return None  # those who take lists say which ones
    words = [choice for member in choices for choice in get_args(member)]
    if (value is None and parameter.default is None) or value in words or any(_is(value, kind) for kind in kinds):
        return None
    order = sorted(kinds, key=lambda kind: kind == "NoneType")
    return " or ".join(dict.fromkeys([*map(str, words), *(KINDS[kind] for kind in order)]))


def _members(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    elif get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    else:
        yield annotation


def _name(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return "?"
    return str(getattr(get_origin(annotation) or annotation, "__name__", "?"))


def _is(value: Any, kind: str) -> bool:
    word = KINDS[kind]
    if word == "text":
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    if word == "a list":
        return isinstance(value, list | tuple | Set)
    if word.startswith("keys"):
        return isinstance(value, Mapping)
    if kind == "bool":
        return value in (0, 1) if isinstance(value, int | float) else False
    if kind == "NoneType":
        return value is None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return kind == "float" or float(value).is_integer()
