"""Which runs are listed: by name, state, and what was typed or set for them."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.list_runs.found import ListedRun
from tandem.study.run_filter import has_setting, is_end, split_filter

Filters = Mapping[str, tuple[str, ...]]
"""Values that are accepted, by the key or the end of a key."""


def split_words(words: Sequence[str], own: Iterable[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Separates a command line into what is the command's own, and what filters by a setting.

    Args:
        words: as typed.
        own: keys of the command.

    Example:
        >>> split_words(["name=focal_grid", "seed=0,1", "--cfg", "job"], ["name"])
        (['name=focal_grid', '--cfg', 'job'], {'seed': ('0', '1')})
    """
    mine: list[str] = []
    filters: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if key == "compare" and value.startswith("["):  # 0123 and 1e10 are hashes here, and no numbers
            parts = (part.strip().strip("'\"") for part in value.strip("[]").split(","))
            word = f"{key}=[{','.join(repr(part) for part in parts)}]"
        if not sign or key.startswith(("-", "hydra")) or key.lstrip("+~") in own:
            mine.append(word)
        else:
            filters |= dict([split_filter(word)])
    return mine, filters


def keep(listed: Sequence[ListedRun], name: str | None, states: Sequence[str], filters: Filters) -> list[ListedRun]:
    """The runs that fit.

    Args:
        listed: all runs.
        name: a name or a pattern; None: any.
        states: of which the run has one; empty: any.
        filters: settings; each must hold.

    Raises:
        ConfigError: a key that no run has, or a state in which none is.
    """
    known = {key for one in listed for key in _keys(one)}
    for key in filters:
        if listed and not any(is_end(full, key) for full in known):
            ends = {full.rpartition(".")[2] for full in known} | {"name", "state"}
            raise ConfigError(f"no run has a setting '{key}': {nearest(key, ends)}")
    there = {one.state for one in listed}
    for state in states:
        if listed and state not in there:
            raise ConfigError(f"no run is '{state}': {nearest(state, there)}")
    return [
        one for one in listed
        if (name is None or fnmatchcase(one.name, name)) and (not states or one.state in states)
        and all(_has(one, key, values) for key, values in filters.items())
    ]  # fmt: skip


def _keys(one: ListedRun) -> set[str]:
    return {*one.settings, *(word.lstrip("+~").partition("=")[0] for word in one.overrides)}


def _has(one: ListedRun, key: str, values: Sequence[str]) -> bool:
    return has_setting(key, values, one.overrides, one.settings, {} if one.run is None else one.run.config)
