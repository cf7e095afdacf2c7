"""Where a mistyped key or choice belongs: inside which part of the configuration, or in which config group."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tandem.config.shipped import config_folder, shipped_groups, shipped_places

MOST = 4
"""Number of suggestions that are named."""


def inner_keys(config: Mapping[str, Any], wrong: str) -> list[str]:
    """Dotted keys that end with a word, at most a few; words of a longer last part count if none is the whole part.

    Args:
        config: plain containers.
        wrong: the word.

    Example:
        >>> inner_keys({"optimizer": {"lr": 1}, "trainer": {"max_epochs": 3}}, "lr")
        ['optimizer.lr']
        >>> inner_keys({"optimizer": {"lr": 1}, "trainer": {"max_epochs": 3}}, "epochs")
        ['trainer.max_epochs']
    """
    keys = [key for key in _dotted(config) if "." in key]
    exact = [key for key in keys if key.rpartition(".")[2] == wrong]
    part = [key for key in keys if key.endswith(f"_{wrong}")] if len(wrong) > 2 else []
    return (exact or part)[:MOST]


def dotted_keys(config: Mapping[str, Any]) -> list[str]:
    """Every dotted key of plain containers."""
    return list(_dotted(config))


def groups_with(option: str) -> list[str]:
    """The config groups of training that have an option of this name; `null`, numbers and the like name none.

    Args:
        option: what was typed behind the `=`.

    Example:
        >>> groups_with("unet"), groups_with("0.1")
        (['network'], [])
    """
    groups = [group for group in shipped_groups() if group not in ("adversary", "loss", "metrics", "study")]
    return [group for group in groups if (config_folder() / group / f"{option}.yaml").is_file()] if option else []


def loss_words(option: str, words: Sequence[str]) -> list[str]:
    """How the loss of each task is chosen that has an option of this name: `loss=focal` does not say of which task.

    Args:
        option: of a loss.
        words: the command line, which may choose the tasks.

    Example:
        >>> loss_words("focal", [])
        ['loss/multiclass@tasks.classification.loss=focal', 'loss/binary@tasks.segmentation.loss=focal']
    """
    typed = next((word.partition("=")[2] for word in words if word.startswith("task=")), "")
    tasks = re.findall(r"\w+", typed) or ["classification", "segmentation"]
    known = sorted(place for place in shipped_places() if place.startswith("loss/"))
    places = [place for task in tasks for place in known if place.endswith(f"@tasks.{task}.loss")]
    file = f"{option}.yaml"
    return [f"{place}={option}" for place in places if (config_folder() / place.partition("@")[0] / file).is_file()]


def typed_value(words: Sequence[str], key: str) -> str:
    """What was typed for a key; empty if nothing."""
    return next((word.partition("=")[2] for word in words if word.lstrip("+~").partition("=")[0] == key), "")


def _dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if str(key) in ("hydra", "_target_", "_partial_"):
            continue
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
