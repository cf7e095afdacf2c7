"""Turns errors of Hydra and OmegaConf into one line that names the key and suggests the nearest valid one."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from tandem.config.choices import choices_of, groups_of
from tandem.config.meant import dotted_keys, groups_with, inner_keys, loss_words, typed_value
from tandem.config.shipped import config_folder, shipped, shipped_groups, shipped_places
from tandem.errors import TandemError

SHOWN = 28
"""Maximum number of choices listed; if there are more, the nearest ones are listed."""


def nearest(wrong: str, valid: Iterable[str]) -> str:
    """Suggests the most likely intended name and lists the valid ones, as part of a sentence.

    Example:
        >>> nearest("gama", ["gamma", "alpha"])
        "did you mean 'gamma'? (there are: alpha, gamma)"
    """
    choices = sorted(set(map(str, valid)))
    close = difflib.get_close_matches(str(wrong), choices, n=SHOWN, cutoff=0.5)
    if not choices:
        return "there are none"
    listed = ", ".join(choices) if len(choices) <= SHOWN else f"{', '.join((close or choices)[:SHOWN])}, ..."
    return f"did you mean '{close[0]}'? (there are: {listed})" if close else f"there are: {listed}"


def explain(error: BaseException, words: Sequence[str] = (), primary: str = "train") -> str:
    """Explains in one line an error that was raised while composing or resolving a configuration.

    Args:
        error: the exception of Hydra or OmegaConf, with its chain of causes.
        words: the command line, where it is known; it tells what else was meant.
        primary: name of the command's configuration.
    """
    if (line := _no_name(error, words)) is not None:
        return line
    readers: tuple[Callable[[BaseException], str | None], ...] = (
        _bad_override,
        partial(_unknown_key, words=words, primary=primary),
        _unknown_choice,
        _wrong_count,
        partial(_not_chosen, words=words, primary=primary),
        _bad_value,
    )
    lines = (reader(link) for link in _chain(error) for reader in readers)
    refused = next((str(link) for link in _chain(error) if isinstance(link, TandemError)), None)  # by a resolver
    return refused or next((line for line in lines if line), None) or _first_lines(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _bad_override(error: BaseException) -> str | None:
    """An argument that is not an override."""
    from hydra.errors import OverrideParseException

    if not isinstance(error, OverrideParseException):
        return None
    text = f"{error.override!r} cannot be read"
    if "=" not in error.override:
        return f"{text}; write key=value"
    reason = [line for line in str(error).splitlines() if not line.startswith(("See ", "Error parsing"))]
    return f"{text} ({'; '.join(reason)}); put a value with special characters in quotes: 'key=\"a=b\"'"


def _unknown_key(error: BaseException, words: Sequence[str], primary: str) -> str | None:
    """A key that the schema or a composed yaml does not have."""
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    parent = getattr(error, "parent_node", None)
    if not isinstance(error, ConfigAttributeError | ConfigKeyError) or not isinstance(parent, DictConfig):
        return None
    wrong = str(error.full_key)
    group, _, last = wrong.rpartition(".")
    keys = {str(key) for key in parent if key != "hydra" and not str(key).startswith("_")}
    if not group:
        meant = _belongs(wrong, OmegaConf.to_container(parent, resolve=False), words)
        return f"unknown key '{wrong}': {meant or nearest(last, keys | _chosen_from(primary))}"
    if not keys and group in shipped_groups():
        place = f"{group}/{inner[0]}" if (inner := _inner_groups(group)) else group
        return f"unknown key '{wrong}': the chosen option of {group} has no keys; choose another with {place}=..."
    hint = nearest(last, keys)
    add = "" if hint.startswith("did") else f"; to add a key that is not listed, type +{wrong}=..."
    return f"unknown key '{wrong}': {hint}{add}"


def _chosen_from(primary: str) -> set[str]:
    """The config groups of a command; tasks choose from those that no file lists, such as `loss`."""
    here = groups_of(shipped(primary))
    return here | set(shipped_groups()) if "task" in here else here


def _belongs(wrong: str, config: Any, words: Sequence[str]) -> str | None:
    """Where a key that is none at the root belongs, as part of a sentence; None if nothing is known."""
    if keys := inner_keys(config, wrong):
        return f"did you mean {_listed(keys)}?"
    value = typed_value(words, wrong)
    if (groups := groups_with(value)) and not difflib.get_close_matches(wrong, groups, cutoff=0.5):
        return f"did you mean {_listed([f'{group}={value}' for group in groups])}?"
    whole = next((word.lstrip("+~").partition("=")[0] for word in words if word.startswith(f"{wrong}.")), "")
    if whole and wrong in shipped_groups():
        close = difflib.get_close_matches(whole, dotted_keys(config), 1)
        return f"{wrong} is a config group{f'; did you mean {_listed(close)}?' if close else ''}"
    return None


def _listed(names: Sequence[str]) -> str:
    return " or ".join(f"'{name}'" for name in names)


def _unknown_choice(error: BaseException) -> str | None:
    """An option that a config group does not have."""
    from hydra.errors import MissingConfigException

    if not isinstance(error, MissingConfigException) or not error.missing_cfg_file:
        return None
    group, _, wrong = str(error.missing_cfg_file).rpartition("/")
    options = error.options or [path.stem for path in (config_folder() / group).glob("*.yaml") if group]
    if not options:
        what = f"no config '{error.missing_cfg_file}' in the shipped folder or in --config-dir"
        return f"{what}; leave out --config-name, or give --config-dir"
    return f"no option '{wrong}' in the config group '{group}': {nearest(wrong, options)}"


def _no_name(error: BaseException, words: Iterable[str]) -> str | None:
    """A value of a config group that cannot be the name of one of its options; Hydra does not say of which group."""
    said = any("Config group override must be a string or a list" in str(link) for link in _chain(error))
    if not said and not any(isinstance(link, TypeError) for link in _chain(error)):
        return None
    for word in words:
        key, _, value = word.lstrip("+").partition("=")
        if (group := key.partition("@")[0]) not in shipped_groups():
            continue
        if re.fullmatch(r"[-+.\d]+(e[-+\d]+)?", value):
            names = [path.stem for path in (config_folder() / group).glob("*.yaml")]
            return f"'{word}' is a number, but {group} is a config group: {nearest(value, names)}"
        if value == "null" or not re.search(r"[A-Za-z]", value):
            return f"{key} is {value or 'empty'}, but must be the name of one of its options, such as augment=none"
    return "a config group cannot be null; choose one of its options, such as augment=none" if said else None


def _wrong_count(error: BaseException) -> str | None:
    """Several values instead of one."""
    match = re.match(r"Ambiguous value for argument '(.*)'", str(error))
    return match and f"'{match[1]}' has several values; add -m to sweep over them, or write a list: key=[a,b]"


def _not_chosen(error: BaseException, words: Sequence[str], primary: str) -> str | None:
    """An option for a package (group@package) that does not exist in this configuration, or of another group."""
    from hydra.errors import ConfigCompositionException

    whole = re.match(r"Could not override '([\w/]+)'", str(error))
    here = _chosen_from(primary)
    if whole and whole[1].partition("/")[0] in set(shipped_groups()) - here:
        chosen = _listed(sorted(here)) or "no option"
        return f"'{whole[1]}' belongs to training; leave it out (this command chooses {chosen})"
    if whole and (inner := _inner_groups(whole[1])):
        own = any(choice.group in (f"{whole[1]}/{kind}" for kind in inner) for choice in choices_of(shipped(primary)))
        if not own and (meant := loss_words(typed_value(words, whole[1]), words)):
            return f"'{whole[1]}' is chosen for each task: did you mean {_listed(meant)}?"
        return f"'{whole[1]}' is chosen by kind ({', '.join(inner)}): write {whole[1]}/{inner[0]}=..."
    match = re.match(r"Could not override '([\w/]+)@([\w.]+)'", str(error))
    if not isinstance(error, ConfigCompositionException) or not match:
        return None
    wrong, places = "@".join(match.groups()), shipped_places()
    if wrong in places:
        return f"'{wrong}' has no place in this configuration; was its task left out?"
    same = sorted(place for place in places if place.endswith(f"@{match[2]}"))
    fix = f"{match[2]} is chosen with {same[0]}=..." if same else nearest(wrong, places)
    return f"nothing is chosen with '{wrong}'; {fix}"


def _inner_groups(group: str) -> list[str]:
    """Returns the subgroups of a group without options of its own, such as those of `loss`."""
    folder = config_folder() / group
    if not folder.is_dir() or any(folder.glob("*.yaml")):
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def _bad_value(error: BaseException) -> str | None:
    """A value of the wrong type, a missing value, or a broken reference."""
    from omegaconf.errors import OmegaConfBaseException

    if not isinstance(error, OmegaConfBaseException) or not error.full_key:
        return None
    if missing := re.search(r"Missing mandatory value: (\S+)", str(error)):
        return f"{missing[1]} has no value; give it, for instance {missing[1]}=VALUE"
    first = str(error).splitlines()[0]
    return f"{error.full_key}: {first[:1].lower()}{first[1:]}"


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"\s+", " ", "; ".join(lines[:3])) or type(error).__name__
