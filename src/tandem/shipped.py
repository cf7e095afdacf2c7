"""What the shipped configuration offers: where it lies, and which questions it asks."""

import re
from pathlib import Path


def config_folder() -> Path:
    """The folder of the shipped configuration: inside the installed package, or beside `src` in a checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / "conf"
    return packaged if packaged.is_dir() else here.parents[1] / "conf"


def shipped_groups() -> list[str]:
    """The questions that the shipped configuration asks: names of its folders, but for the parts that files share."""
    return sorted(path.name for path in config_folder().iterdir() if path.is_dir() and path.name != "shared")


def shipped_places() -> set[str]:
    """Where nested groups are chosen in the shipped configuration, such as `loss/binary@tasks.segmentation.loss`."""
    written = re.compile(r"^\s*- (?:override )?/([\w/]+@tasks[\w.]+):", re.MULTILINE)
    texts = (path.read_text(encoding="utf-8") for path in config_folder().rglob("*.yaml"))
    return {place for text in texts for place in written.findall(text)}
