"""The name of a run on a dashboard: what varies in its sweep, or what was typed for it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tandem.config.identity import is_presentation
from tandem.jobs.plan import planned_overrides
from tandem.jobs.status import read_status
from tandem.reports.sweep_table import short_key

LONGEST = 80
"""Characters of a label."""


def run_label(folder: Path, config: Mapping[str, Any]) -> str:
    """The label of a run; its hash if nothing was typed.

    Args:
        folder: of the run, with its status, and with the plan of its sweep beside it.
        config: the resolved configuration, which knows the tasks.
    """
    typed = read_status(folder).get("overrides")
    own = [str(word) for word in typed] if isinstance(typed, list) else []
    planned = planned_overrides(folder)
    own = own or list(planned.get(folder.name, ()))
    shared = set.intersection(*map(set, planned.values())) if len(planned) > 1 else set()
    told = [word for word in own if word not in shared or word.startswith("seed=")]
    return label(told, tuple(config.get("tasks") or ())) or folder.name


def label(words: Sequence[str], tasks: Sequence[str] = ()) -> str:
    """Overrides in short, the seed at the end; what changes no number is left out.

    Args:
        words: overrides.
        tasks: names of tasks, which alone would not say what is set.

    Example:
        >>> label(["tasks.lesion.loss.gamma=2", "tasks.lesion.loss.alpha=0.25", "seed=0", "logger=none"])
        'gamma=2,alpha=.25 s0'
        >>> label(["loss/binary@tasks.lesion.loss=focal", "balance.weights.lesion=0.5"], ["lesion"])
        'loss=focal,weights.lesion=.5'
    """
    pairs = [word.lstrip("+").partition("=")[::2] for word in words if not word.startswith("~")]
    pairs = [(key.rpartition("@")[2], value) for key, value in pairs if not is_presentation(key)]
    keys = [key for key, _ in pairs]
    parts = [f"{_short(key, keys, tasks)}={_brief(value)}" for key, value in pairs if key != "seed"]
    seeds = [f"s{value}" for key, value in pairs if key == "seed"]
    text = re.sub(r"[^\w=.,+ -]+", "-", " ".join([*([",".join(parts)] if parts else []), *seeds]))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3].rstrip(' ,.=')}..."


def _short(key: str, keys: Sequence[str], tasks: Sequence[str]) -> str:
    short = short_key(key, keys)
    return ".".join(key.split(".")[-2:]) if short in tasks else short.rpartition("/")[2]


def _brief(value: str) -> str:
    """A value without the zero before its point, and the last part of a path."""
    plain = value.strip("'\"")
    return re.sub(r"^(-?)0\.", r"\1.", plain.rpartition("/")[2] or plain)
