"""From the overrides of a search to the configuration of each of its runs."""

from collections.abc import Collection, Sequence
from typing import Any

from tandem.errors import ConfigError


def words_for_training(typed: Sequence[str], searched: Collection[str]) -> list[str]:
    """The overrides of a search that apply to each of its trials.

    Args:
        typed: overrides of the command line, `key=value`.
        searched: keys of the search space.

    Raises:
        ConfigError: a key of the search space is also an override.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = []
    for override in OverridesParser.create().parse_overrides(list(typed)):
        key = override.get_key_element().lstrip("+~")
        if key == "search" or key.startswith(("search.", "search/", "search@")):
            continue
        if key in searched:
            raise ConfigError(
                f"'{key}' is in the search space; remove its override, or choose another space with search=..."
            )
        words.append(str(override.input_line))
    return words


def named(words: Sequence[str], name: str) -> list[str]:
    """The overrides with the name of the search, if they have no name; so that its runs are in one folder."""
    given = any(word.lstrip("+").startswith("name=") for word in words)
    return list(words) if given else [*words, f"name={name}"]


def compose_run(words: Sequence[str]) -> dict[str, Any]:
    """The resolved configuration of a run, as `train.py` resolves it.

    Args:
        words: its overrides, `key=value`.

    Raises:
        ConfigError: they cannot be composed.
    """
    from hydra import compose

    from tandem.config.resolve import register, resolve
    from tandem.config.suggest import explain

    register("train")  # its schema has no search
    try:
        return resolve(compose("train", list(words)))
    except ConfigError:
        raise
    except Exception as error:  # Hydra and OmegaConf have no common base
        raise ConfigError(explain(error)) from error
