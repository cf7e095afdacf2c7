"""Turns what Hydra and OmegaConf raise into one line that names the key and the nearest valid one."""

import difflib
import re
from collections.abc import Iterable, Iterator


def nearest(wrong: str, valid: Iterable[str]) -> str:
    """A half-sentence that names the likeliest intended word, or all there are.

    Example:
        >>> nearest("gama", ["gamma", "alpha"])
        "did you mean 'gamma'? (there are: alpha, gamma)"
    """
    choices = sorted(map(str, valid))
    listed = f"there are: {', '.join(choices)}" if choices else "there are none"
    close = difflib.get_close_matches(str(wrong), choices, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'? ({listed})" if close else listed


def explain(error: BaseException) -> str:
    """One line for an error that arose while a configuration was composed or resolved.

    Args:
        error: what Hydra or OmegaConf raised, with its chain of causes.
    """
    for link in _chain(error):
        line = _unknown_key(link) or _unknown_choice(link)
        if line:
            return line
    return _first_lines(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _unknown_key(error: BaseException) -> str | None:
    """A key that the typed root or a composed yaml does not have."""
    from omegaconf import DictConfig
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    parent = getattr(error, "parent_node", None)
    if not isinstance(error, ConfigAttributeError | ConfigKeyError) or not isinstance(parent, DictConfig):
        return None
    wrong = str(error.full_key)
    keys = [str(key) for key in parent if key != "hydra"]
    return f"unknown key '{wrong}': {nearest(wrong.split('.')[-1], keys)}; a new key is added with +{wrong}=..."


def _unknown_choice(error: BaseException) -> str | None:
    """An option that a config group does not have."""
    from hydra.errors import MissingConfigException

    if not isinstance(error, MissingConfigException) or not error.missing_cfg_file:
        return None
    group, _, wrong = str(error.missing_cfg_file).rpartition("/")
    if not error.options:
        return f"no config '{error.missing_cfg_file}' in the shipped folder or in --config-dir"
    return f"no option '{wrong}' in the config group '{group}': {nearest(wrong, error.options)}"


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"\s+", " ", "; ".join(lines[:3])) or type(error).__name__
