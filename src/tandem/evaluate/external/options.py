"""Options of an external test, checked before heavy libraries are imported."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.identity import PATHS
from tandem.config.suggest import nearest
from tandem.errors import ConfigError

REFUSE, DROP, KEEP = "refuse", "drop", "keep"
OVERLAPS = (REFUSE, DROP, KEEP)
"""What is done about images of the other set that the run was trained on."""

PLACES = tuple(key.rpartition(".")[2] for key in PATHS)
LONGEST = 40


@dataclass(frozen=True)
class OtherData:
    """Another data set to test a run on.

    Attributes:
        node: options of its source, as `conf/data` has them.
        split: one of its own splits; None: all its images.
        classes: class of the run by class of the other set; None: the class of these images is unknown; `drop`: these
            images are left out.
        overlap: `refuse`, `drop` or `keep` images that the run was trained on.
        site: its name in titles and in the folder; None: see `label`.
        typed: dotted keys that were typed.
    """

    node: Mapping[str, Any]
    split: str | None
    classes: Mapping[str, str | None]
    overlap: str = REFUSE
    site: str | None = None
    typed: Collection[str] = ()

    @property
    def label(self) -> str:
        """Name of the set: the given one, or the name of its source and folder."""
        if self.site:
            return self.site
        kind = str(self.node.get("name") or str(self.node["_target_"]).rpartition(".")[2].lower())
        given = self.node.get("root") or self.node.get("file")
        place = Path(str(given)).expanduser().name if given else ""
        return place if place and kind == "folder" else f"{kind} {place}".strip()

    @property
    def folder(self) -> str:
        """Name of the folder of its results; other data have another one."""
        places = {key: str(Path(str(self.node[key])).expanduser().absolute()) for key in PLACES if self.node.get(key)}
        known = {"node": {**self.node, **places}, "split": self.split}
        digits = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:6]
        slug = re.sub(r"[^\w-]+", "-", self.label)[:LONGEST].strip("-")
        return "-".join(part for part in ("external", slug, self.split, digits) if part)


def read_other(config: Mapping[str, Any], typed: Collection[str] = ()) -> OtherData | None:
    """Reads the other data set of `conf/evaluate.yaml`; None if the run's own data are evaluated.

    Args:
        config: the resolved configuration.
        typed: dotted keys that were typed.

    Raises:
        ConfigError: an option is not allowed, or needs another data set.
    """
    node = config.get("data") or {}
    classes, overlap, site = config.get("classes"), config.get("overlap") or REFUSE, config.get("site")
    if "_target_" not in node:
        given = {"classes": classes is not None, "overlap": overlap != REFUSE, "site": site is not None}
        if needless := [key for key, is_given in given.items() if is_given]:
            raise ConfigError(f"{needless[0]} is for a test on other data: choose them with data=..., or leave it out")
        return None
    threshold = config.get("threshold")
    if "fit" in (threshold.values() if isinstance(threshold, Mapping) else (threshold,)):
        raise ConfigError(
            "threshold=fit would fit on the external test; leave it out: the run has its own from validation"
        )
    if overlap not in OVERLAPS:
        raise ConfigError(f"overlap is '{overlap}': {nearest(str(overlap), OVERLAPS)}")
    if site is not None and not str(site).strip():
        raise ConfigError("site is empty; give the name of the other set, or leave it out")
    if classes is not None and not isinstance(classes, Mapping):
        raise ConfigError(f"classes is {classes!r}, but must map classes of the other set to those of the run")
    known = {key: value for key, value in node.items() if not (key in PLACES and value is None)}
    named = {str(key): None if value is None else str(value) for key, value in (classes or {}).items()}
    return OtherData(known, config["split"], named, overlap, None if site is None else str(site), frozenset(typed))
