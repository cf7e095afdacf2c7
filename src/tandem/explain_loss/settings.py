"""Comma lists among the overrides of a loss: one setting, and later one curve, for each combination of values."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

LONGEST = 100
"""Characters of a folder's name that is made from what was typed."""

_OF_LOSS = re.compile(r"\+{0,2}loss(?=[/.@=])")
_GROUP_ALONE = re.compile(r"(\+{0,2}loss/\w+)(?==)")


@dataclass(frozen=True)
class Setting:
    """One loss with its knobs.

    Attributes:
        label: what tells it from the other settings, for legends; what was typed, if it is the only one.
        overrides: of the loss alone, one value each.
    """

    label: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Typed:
    """What was typed, taken apart.

    Attributes:
        arguments: what Hydra is given: of each comma list of the loss its first value, all else as it was typed; and
            the loss as the name, unless one was given.
        settings: every combination of the values, in the order typed; the last list changes fastest.
        title: the loss as it was typed, without the names of config groups.
    """

    arguments: tuple[str, ...]
    settings: tuple[Setting, ...]
    title: str


def read_settings(arguments: Sequence[str]) -> Typed:
    """Takes the comma lists of a loss out of a command line, on which Hydra would allow them in a sweep only.

    `loss/binary=focal` is made `loss/binary@loss=focal`, the place where `explain_loss.yaml` keeps its loss. What
    cannot be read is left to Hydra, which says why.

    Args:
        arguments: a command line without the program's name.

    Example:
        >>> typed = read_settings(["loss/binary=bce_focal", "loss.gamma=1,2"])
        >>> typed.arguments
        ('name=bce_focal-gamma-1-2', 'loss/binary@loss=bce_focal', 'loss.gamma=1')
        >>> [(setting.label, setting.overrides[1]) for setting in typed.settings]
        [('gamma=1', 'loss.gamma=1'), ('gamma=2', 'loss.gamma=2')]
        >>> typed.title
        'bce_focal gamma=1, 2'
    """
    placed = [_GROUP_ALONE.sub(r"\1@loss", argument, count=1) for argument in arguments]
    parsed = [_parse(argument) for argument in placed]
    chosen = [override for override in parsed if override is not None]
    values = [_values(override) for override in chosen]
    settings = tuple(_settings(chosen, values))
    first = iter(settings[0].overrides)
    kept = [argument if override is None else next(first) for argument, override in zip(placed, parsed, strict=True)]
    title = " ".join(_label(override, ", ".join(several)) for override, several in zip(chosen, values, strict=True))
    if title and not any(argument.startswith("name=") for argument in kept):
        # beside the others: argparse wants them in one place
        kept.insert(next(place for place, override in enumerate(parsed) if override), f"name={_slug(title)}")
    return Typed(tuple(kept), settings, title)


def _slug(title: str) -> str:
    """A title as the name of a folder."""
    return re.sub(r"[^\w.]+", "-", title).strip("-.")[:LONGEST]


def of_loss(argument: str) -> bool:
    """Whether an argument of the command line is about the loss."""
    return _OF_LOSS.match(argument) is not None


def _parse(argument: str) -> Override | None:
    """An override of the loss, with one value or with several that can be counted."""
    if not of_loss(argument):
        return None
    try:
        override = OverridesParser.create().parse_override(argument)
        return override if _values(override) else None
    except HydraException:
        return None


def _values(override: Override) -> list[str]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_string()]


def _settings(chosen: Sequence[Override], values: Sequence[Sequence[str]]) -> Iterator[Setting]:
    varied = [len(several) > 1 for several in values]
    for combination in itertools.product(*values):
        pairs = list(zip(chosen, combination, strict=True))
        told = [pair for pair, several in zip(pairs, varied, strict=True) if several] or pairs
        yield Setting(
            " ".join(_label(override, value) for override, value in told),
            tuple(f"{override.get_key_element()}={value}" for override, value in pairs),
        )


def _label(override: Override, value: str) -> str:
    """`focal` for `loss/binary@loss=focal`, `gamma=2` for `loss.gamma=2`, `terms.bce=focal` for a term of a sum."""
    place = override.package if "/" in override.key_or_group else override.key_or_group
    inner = (place or "").removeprefix("loss").removeprefix(".")
    return f"{inner}={value}" if inner else value
