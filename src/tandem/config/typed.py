"""The words of a command line: overrides, Hydra's flags, and the paths in them."""

import re
from collections.abc import Sequence
from pathlib import Path

HELP = {"--help", "-h"}

FOLDERS = ("-cd", "--config-dir")
"""Flags that name a folder of a person's own options."""

VALUED = {"-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", *FOLDERS}
"""Hydra's flags that take the next argument as their value."""

_HOME = re.compile(r"""(^|[\[,{:'"])~(?=/|$)""")
"""A `~` at the beginning of a path: of the whole value, or inside of a list, a dict or quotes."""

_SPECIAL = re.compile(r"([\\()\[\]{}:=, \t])")
"""Characters that Hydra reads as they are only behind a backslash, outside of quotes."""


def flags_last(words: Sequence[str]) -> list[str]:
    """The arguments of a command line with Hydra's flags moved behind the overrides: its parser fails on a mixture.

    Args:
        words: the arguments, without the program's name.

    Example:
        >>> flags_last(["seed=1", "-m", "--config-dir", "mine", "lr=1,2"])
        ['seed=1', 'lr=1,2', '-m', '--config-dir', 'mine']
    """
    overrides: list[str] = []
    flags: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        (flags if word.startswith("-") or before in VALUED else overrides).append(word)
    return [*overrides, *flags]


def overrides_of(words: Sequence[str]) -> list[str]:
    """The overrides alone.

    Example:
        >>> overrides_of(["seed=1", "--config-dir", "mine", "--help"])
        ['seed=1']
    """
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and before not in VALUED]


def folders_of(words: Sequence[str]) -> list[Path]:
    """The folders of a person's own options.

    Example:
        >>> [str(folder) for folder in folders_of(["seed=1", "--config-dir", "mine", "-cd=yours"])]
        ['mine', 'yours']
    """
    pairs = zip(words, [*words[1:], ""], strict=True)
    named = ((word.partition("="), after) for word, after in pairs)
    return [Path(value if sign else after) for (flag, sign, value), after in named if flag in FOLDERS]


def home_expanded(word: str) -> str:
    """A `key=value` with the home folder for a `~` at the beginning of a path; a shell expands it in whole words alone.

    Args:
        word: an argument.

    Example:
        >>> home_expanded("~data"), home_expanded("name=a~b"), home_expanded("--config-dir=x")
        ('~data', 'name=a~b', '--config-dir=x')
        >>> home_expanded("data.root=~/x") == f"data.root={_SPECIAL.sub(_escaped, str(Path.home()))}/x"
        True
    """
    key, sign, value = word.partition("=")
    if not sign or word.startswith("-"):
        return word

    def path(found: re.Match[str]) -> str:
        home = str(Path.home())
        return found[1] + (home if found[1] in ("'", '"') else _SPECIAL.sub(_escaped, home))

    return f"{key}={_HOME.sub(path, value)}"


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"
