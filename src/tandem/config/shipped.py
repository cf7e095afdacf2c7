"""The shipped configuration: its folder and its config groups."""

import re
from pathlib import Path

from tandem.config.hydra_internals import remove_launchers


def config_folder() -> Path:
    """Returns the folder of the shipped configuration: in the installed package, or beside `src` in a checkout."""
    here = Path(__file__).resolve().parents[1]
    packaged = (here / "conf").resolve()  # a link in a checkout, which some systems cannot make
    return packaged if packaged.is_dir() else here.parents[1] / "conf"


ELSEWHERE = ("__pycache__", "hydra", "paper", "refine", "search", "shared")
"""Folders that are not config groups of training: Hydra's own, those of other commands, shared parts."""


def shipped_groups() -> list[str]:
    """Returns the config groups of training: the names of the folders of the shipped configuration."""
    return sorted(path.name for path in config_folder().iterdir() if path.is_dir() and path.name not in ELSEWHERE)


def shipped_places() -> set[str]:
    """Returns the packages of nested groups in the configuration, such as `loss/binary@tasks.segmentation.loss`."""
    written = re.compile(r"^\s*- (?:override )?/([\w/]+@tasks[\w.]+):", re.MULTILINE)
    texts = (path.read_text(encoding="utf-8") for path in config_folder().rglob("*.yaml"))
    return {place for text in texts for place in written.findall(text)}


def take_launchers() -> None:
    """Lets tandem's launchers replace those of other packages that have the same name; may be called again."""
    remove_launchers([path.name for path in (config_folder() / "hydra" / "launcher").glob("*.yaml")])
