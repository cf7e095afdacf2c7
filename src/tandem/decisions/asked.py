"""The option `decide`: what is typed, and what it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.suggest import nearest
from tandem.decisions.wanted import Wanted, is_wanted, read_wanted
from tandem.errors import ConfigError

STORED = "stored"
"""What the checkpoint holds, the default."""

WORDS = ("threshold", "rankdice", "postprocess", "temperature")


@dataclass(frozen=True)
class Asked:
    """Parts of a decision.

    Attributes:
        rankdice: whether the mask has the highest expected Dice.
        postprocess: whether post-processing is chosen on validation data.
        temperature: whether a temperature is fitted on validation data.
        wanted: what the threshold must reach on validation data.
    """

    rankdice: bool = False
    postprocess: bool = False
    temperature: bool = False
    wanted: Wanted | None = None

    @property
    def fitted(self) -> bool:
        """Whether validation data are needed."""
        return self.postprocess or self.temperature or self.wanted is not None


def read_source(value: Any) -> "Asked | Path | None":
    """Reads the option of a command that also takes a file of decisions; see `read_asked`.

    Raises:
        ConfigError: something else, or a file that is not there.
    """
    if isinstance(value, str) and value.endswith(".json"):
        file = Path(value).expanduser()
        if not file.is_file():
            raise ConfigError(
                f"decide={value}: there is no such file; evaluate writes RUN/evaluation/SPLIT/decisions.json"
            )
        return file
    return read_asked(value)


def read_asked(value: Any, stored: bool = True) -> Asked | None:
    """Reads the option.

    It is `stored`, `threshold`, or one or several of `rankdice`, `postprocess`, `temperature` and a wanted value.

    Args:
        value: as typed.
        stored: whether `stored` is allowed.

    Returns:
        What is asked for; None for `stored`.

    Raises:
        ConfigError: something else.

    Example:
        >>> read_asked("rankdice"), read_asked("stored")
        (Asked(rankdice=True, postprocess=False, temperature=False, wanted=None), None)
    """
    words = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if words == [STORED] and stored:
        return None
    wanted = [read_wanted(word) for word in words if is_wanted(word)]
    plain = [word for word in words if not is_wanted(word)]
    known = (*WORDS, STORED) if stored else WORDS
    if unknown := [word for word in plain if word not in WORDS]:
        if unknown[0] == STORED and stored:
            raise ConfigError(f"decide has 'stored' beside {len(words) - 1} more: it stands alone")
        raise ConfigError(f"decide is '{unknown[0]}': {nearest(str(unknown[0]), known)}")
    if twice := [word for word in plain if plain.count(word) > 1]:
        raise ConfigError(f"decide has '{twice[0]}' twice; give it once")
    if not words or len(wanted) > 1 or ("threshold" in plain and {"rankdice"} & set(plain)):
        raise ConfigError("decide needs one rule: threshold or rankdice, and one wanted value at most")
    return Asked("rankdice" in plain, "postprocess" in plain, "temperature" in plain, wanted[0] if wanted else None)
