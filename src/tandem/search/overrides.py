"""From the words that were typed for a search to the configuration of each of its runs."""

from collections.abc import Collection, Sequence
from typing import Any

from tandem.errors import ConfigError


def words_for_training(typed: Sequence[str], searched: Collection[str]) -> list[str]:
    """Of what was typed for a search that which each of its trials is trained with.

    Args:
        typed: words of the command line, `key=value`.
        searched: keys of the space.

    Raises:
        ConfigError: a key that is searched was typed too.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = []
    for override in OverridesParser.create().parse_overrides(list(typed)):
        key = override.get_key_element().lstrip("+~")
        if key == "search" or key.startswith(("search.", "search/", "search@")):
            continue
        if key in searched:
            raise ConfigError(f"'{key}' is typed and searched; leave it out, or choose another space with search=...")
        words.append(str(override.input_line))
    return words


def named(words: Sequence[str], name: str) -> list[str]:
    """The words with the name of the search, where none was typed; so that its runs lie together."""
    given = any(word.lstrip("+").startswith("name=") for word in words)
    return list(words) if given else [*words, f"name={name}"]


def compose_run(words: Sequence[str]) -> dict[str, Any]:
    """The resolved configuration of a run, as `train.py` would make it from the same words.

    Args:
        words: of its command line, `key=value`.

    Raises:
        ConfigError: they do not go together.
    """
    from hydra import compose

    from tandem.config.resolve import register, resolve
    from tandem.config.suggest import explain

    register("train")  # whose root has no place for a search
    try:
        return resolve(compose("train", list(words)))
    except ConfigError:
        raise
    except Exception as error:  # whatever Hydra makes of words that do not fit
        raise ConfigError(explain(error)) from error
