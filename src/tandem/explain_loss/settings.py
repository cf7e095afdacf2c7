"""Expands comma lists in the overrides of a loss to one setting, and so one curve, for each combination of values."""

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

LONGEST = 100
"""Maximum number of characters of a folder name that is derived from the command line."""

_OF_LOSS = re.compile(r"\+{0,2}loss(?=[/.@=])")
_GROUP_ALONE = re.compile(r"(\+{0,2}loss/\w+)(?==)")


@dataclass(frozen=True)
class Setting:
    """One loss with its options.

    Attributes:
        label: the options that differ from other settings, for legends; all typed options if it is the only one.
        overrides: the overrides of the loss only, one value each.
    """

    label: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Typed:
    """The parsed command line.

    Attributes:
        arguments: the arguments for Hydra: the first value of each comma list of the loss, everything else as typed,
            and a `name` derived from the loss, unless one was given.
        settings: all combinations of the values, in the order typed; the last list varies fastest.
        title: the loss as typed, without the names of config groups.
    """

    arguments: tuple[str, ...]
    settings: tuple[Setting, ...]
    title: str


def read_settings(arguments: Sequence[str]) -> Typed:
    """Expands the comma lists of a loss in a command line; Hydra itself allows such lists only in a sweep.

    `loss/binary=focal` becomes `loss/binary@loss=focal`, the package of the loss in `explain_loss.yaml`. Arguments that
    cannot be parsed are left to Hydra, which reports the error.

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
        # next to the other overrides: argparse requires them to be contiguous
        kept.insert(next(place for place, override in enumerate(parsed) if override), f"name={_slug(title)}")
    return Typed(tuple(kept), settings, title)


def _slug(title: str) -> str:
    """Converts a title to a folder name; of a longer one, digits at the end stand for the whole."""
    name = re.sub(r"[^\w.]+", "-", re.sub(r"(?<=[=, ])-(?=[\d.])", "minus", title)).strip("-.")
    digits = hashlib.sha256(title.encode()).hexdigest()[:6]
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 7]}-{digits}"


def of_loss(argument: str) -> bool:
    """Whether a command-line argument is an override of the loss."""
    return _OF_LOSS.match(argument) is not None


def _parse(argument: str) -> Override | None:
    """Parses an override of the loss with one value or a finite list of values; None for any other argument."""
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
        shown = [pair for pair, several in zip(pairs, varied, strict=True) if several] or pairs
        yield Setting(
            " ".join(_label(override, value) for override, value in shown),
            tuple(f"{override.get_key_element()}={value}" for override, value in pairs),
        )


def _label(override: Override, value: str) -> str:
    """`focal` for `loss/binary@loss=focal`, `gamma=2` for `loss.gamma=2`, `terms.bce=focal` for a composite's term."""
    place = override.package if "/" in override.key_or_group else override.key_or_group
    inner = (place or "").removeprefix("loss").removeprefix(".")
    return f"{inner}={value}" if inner else value
