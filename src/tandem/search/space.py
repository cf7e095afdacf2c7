"""The search space: keys of the configuration, each with a range or with choices."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.utils.optional import load


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: lower bound.
        high: upper bound, above `low`.
        log: whether to sample uniformly in the logarithm; needs `low` above 0.
        step: distance between two values, > 0; None: any number, or any integer.
        type: `float` or `int`.

    Raises:
        ConfigError: the bounds, the step or the type is not valid.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    type: str = "float"

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.type not in ("float", "int"):
            raise ConfigError(f"type is {self.type!r}, but must be float or int")
        kinds = int if self.type == "int" else (int, float)
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            known = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
            if not known and not (name == "step" and value is None):
                raise ConfigError(f"{name} is {value!r}, but must be {'an int' if self.type == 'int' else 'a number'}")
        if not self.low < self.high:
            raise ConfigError(f"low={self.low}, high={self.high}: low must be below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ConfigError(f"log needs low above 0 and no step (low={self.low}, step={self.step})")
        if self.step is not None and self.step <= 0:
            raise ConfigError(f"step is {self.step}, but must be above 0")

    @property
    def first(self) -> float:
        """A value to check the configuration with."""
        return self.low

    def distribution(self) -> Any:
        """As a distribution of Optuna."""
        kinds = load("optuna.distributions", "search", "adaptive search")
        if self.type == "int":
            return kinds.IntDistribution(self.low, self.high, log=self.log, step=1 if self.step is None else self.step)
        return kinds.FloatDistribution(self.low, self.high, log=self.log, step=self.step)


@dataclass(frozen=True)
class Choice:
    """One of several unordered values.

    Attributes:
        choices: text (as in an override), numbers, booleans or None, each once.

    Raises:
        ConfigError: there are fewer than two, one is not a plain value, or one occurs twice.
    """

    choices: Sequence[Any]

    def __post_init__(self) -> None:
        """Checks the values."""
        if not isinstance(self.choices, list | tuple) or len(self.choices) < 2:
            raise ConfigError(f"choices is {self.choices!r}, but must be a list of two or more")
        for value in self.choices:
            if not isinstance(value, str | int | float | bool | None):
                raise ConfigError(f"choices holds {value!r}; write it as text in quotes, as in an override")
        texts = [as_text(value) for value in self.choices]
        if len(set(texts)) < len(texts):
            raise ConfigError(f"choices holds a value twice: {', '.join(texts)}")

    @property
    def first(self) -> Any:
        """A value to check the configuration with."""
        return self.choices[0]

    def distribution(self) -> Any:
        """As a distribution of Optuna."""
        kinds = load("optuna.distributions", "search", "adaptive search")
        return kinds.CategoricalDistribution(list(self.choices))


Dimension = Range | Choice


def read_space(node: Any) -> dict[str, Dimension]:
    """The search space by key of the configuration.

    A key may have dots or be a nested dict. `{low: 0.5, high: 5.0}` is a range, a list contains choices.

    Args:
        node: the plain containers of `search.space`.

    Raises:
        ConfigError: the space is empty, or an entry is neither a range nor choices; the message names its key.

    Example:
        >>> read_space({"optimizer": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}, "seed": [0, 1]})["seed"]
        Choice(choices=[0, 1])
    """
    space = dict(_dimensions(node or {}, ""))
    if not space:
        raise ConfigError("search.space is empty; add a range: +search.space.optimizer.lr={low: 1e-4, high: 1e-2}")
    return space


def _dimensions(node: Any, key: str) -> Iterator[tuple[str, Dimension]]:
    where = f"search.space.{key}".rstrip(".")
    if isinstance(node, list):
        node = {"choices": node}
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where} is {node!r}, but must be a range such as {{low: 0.5, high: 5.0}} or a list")
    if not node.keys() & {"low", "high", "choices"}:
        for name, inner in node.items():
            yield from _dimensions(inner, f"{key}.{name}" if key else str(name))
        return
    kind: type[Dimension] = Choice if "choices" in node else Range
    known = [entry.name for entry in fields(kind)]
    if unknown := [name for name in node if name not in known]:
        raise ConfigError(f"unknown key '{where}.{unknown[0]}': {nearest(str(unknown[0]), known)}")
    if lacking := {"low", "high"} - node.keys() if kind is Range else set():
        raise ConfigError(f"{where} lacks '{min(lacking)}'; a range is {{low: 0.5, high: 5.0}}")
    try:
        yield key, kind(**node)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def as_text(value: Any) -> str:
    """A value as in an override after `key=`; a number with all its digits.

    Example:
        >>> as_text(None), as_text(True), as_text(0.1), as_text("focal")
        ('null', 'true', '0.1', 'focal')
    """
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_overrides(values: Mapping[str, Any]) -> list[str]:
    """Chosen values as overrides."""
    return [f"{key}={as_text(value)}" for key, value in values.items()]
