"""Names of folders after what was asked, so that a command does not overwrite its answer to another question."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from tandem.config.identity import CONTENTS, PATHS
from tandem.utils.outputs import check_folder

NOT_ASKED = ("out", "runs", "name", "overwrite")
"""Options that say where the answer goes."""

PLACES = tuple(key.rpartition(".")[2] for key in (*PATHS, *CONTENTS))
"""Options that are paths: the name shows the last part, and the digits at the end stand for the rest."""

LONGEST = 80


def register_names() -> None:
    """Registers the resolvers `asked`, `asked_folder` and `asked_below`; repeated calls are allowed."""
    OmegaConf.register_new_resolver("asked", _asked, replace=True)
    OmegaConf.register_new_resolver("asked_folder", _asked_folder, replace=True)
    OmegaConf.register_new_resolver("asked_below", _asked_below, replace=True)


def label(words: Sequence[str], named: Sequence[str] = ()) -> str:
    """A folder name for the overrides of a command; empty if there are none.

    Args:
        words: as typed, in any order.
        named: options that the folder's name shows already: keys, groups, or `key.*` for all options below a key.

    Example:
        >>> label(["split=val", "data=busi", "out=here", "data.size=64"], ["data"])
        'size-64_split-val'
        >>> label(["loss/binary=focal", "loss.gamma=1", "seed=3"], ["loss", "loss.*"])
        'seed-3'
        >>> label([]) or "nothing"
        'nothing'
        >>> label(["data.root=/a/BUSI"]) == label(["data.root=/b/BUSI"])
        False
    """
    parts, exact, lossy = [], [], False
    for word in sorted(word.lstrip("+~") for word in words):
        key, _, value = word.partition("=")
        group = re.split(r"[/@]", key)[0]
        above = key.partition(".")[0]
        if key in (*NOT_ASKED, *named) or group in named or f"{above}.*" in (*named, "hydra.*"):
            continue
        last, plain = key.rpartition(".")[2], value.strip("'\"")
        if last in PLACES or "/" in plain:
            exact.append(f"{key}={Path(plain).expanduser().resolve()}")
            lossy, plain = True, Path(plain).name
        else:
            exact.append(word)
        part = re.sub(r"[^\w.-]+", "-", f"{last.rpartition('/')[2]}-{plain}").strip("-")
        lossy = lossy or part != f"{last}-{plain}"
        parts.append(part)
    text = "_".join(parts)
    if not lossy and len(text) <= LONGEST:
        return text
    digits = hashlib.sha256("\n".join(exact).encode()).hexdigest()[:6]
    return f"{text[:LONGEST].rstrip('-_.')}-{digits}"


def _asked(*named: str) -> str:
    """What follows the options that a name shows already, with a `_` before it; empty if nothing else was typed."""
    found = label(_typed(), named)
    return f"_{found}" if found else ""


def _asked_folder(out: str, *named: str) -> str:
    """The folder of one answer: the typed `out`, or below it what else was typed."""
    check_folder(Path(out))
    found = "" if _chosen_out() else label(_typed(), named)
    return str(Path(out) / found) if found else str(out)


def _asked_below(name: str, *named: str) -> str:
    """The folder of a sweep's job below `out`; a typed `out` does not show the name, so that this one does."""
    found = label(_typed(), named)
    return "_".join(part for part in (name if _chosen_out() else "", found) if part) or "."


def _typed() -> list[str]:
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task)


def typed_keys() -> set[str]:
    """The dotted keys that were typed for a command; empty where it is called from Python."""
    from hydra.core.hydra_config import HydraConfig

    words = _typed() if HydraConfig.initialized() else []
    return {word.lstrip("+~").partition("=")[0] for word in words}


def _chosen_out() -> bool:
    return any(word.lstrip("+").startswith("out=") for word in _typed())
