"""Data sets whose folders and file names say everything: templates such as `{class}/{id}_mask*`."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern

from tandem.data.files.faults import Faults, refuse
from tandem.data.files.images import ENDINGS
from tandem.data.files.rows import ImageRow, split_name
from tandem.errors import ConfigError

FIELDS = ("id", "class", "group", "split")


class Template:
    """The form of a path below the root, without its ending.

    `{id}`, `{class}`, `{group}` and `{split}` stand for one name each, without a slash; a field that occurs twice must
    be the same in both places. `*` stands for anything within one name.

    Args:
        text: the template.
        where: its key, for errors.

    Attributes:
        fields: those that occur.

    Raises:
        ConfigError: an unknown field, no `{id}`, an absolute path or one that leads out of the root.

    Example:
        >>> Template("{class}/{id}_mask*", "data.masks").match("benign/b (1)_mask_2")
        {'class': 'benign', 'id': 'b (1)'}
    """

    def __init__(self, text: str, where: str) -> None:
        pattern = ""
        self.fields: list[str] = []
        for part in re.split(r"(\{[^{}]*\}|\*)", text):
            name = part[1:-1]
            if part == "*":
                pattern += "[^/]*"
            elif not part.startswith("{"):
                pattern += re.escape(part)
            elif name not in FIELDS:
                raise ConfigError(f"{where} is {text!r}, but {part} is none of {', '.join(f'{{{f}}}' for f in FIELDS)}")
            else:
                pattern += f"(?P={name})" if name in self.fields else f"(?P<{name}>[^/]+)"
                self.fields += [name] if name not in self.fields else []
        if "id" not in self.fields:
            raise ConfigError(f"{where} is {text!r}, but needs {{id}}, the name of a picture")
        if text.startswith("/") or ".." in text.split("/"):
            raise ConfigError(f"{where} is {text!r}, but must lie below data.root")
        self.pattern = re.compile(pattern)

    def match(self, path: str) -> dict[str, str] | None:
        """What the fields stand for in a path, or None where it has another form."""
        found = self.pattern.fullmatch(path)
        return found and found.groupdict()


@dataclass(frozen=True)
class Layout:
    """Where pictures and masks lie.

    Attributes:
        images: form of a picture's path.
        masks: form of the masks' paths, for each mask channel by name.
    """

    images: Template
    masks: Mapping[str, Template]

    def rows(self, root: Path, faults: Faults) -> list[ImageRow]:
        """A row for each picture, in order of their paths.

        A file that has the form of a mask is one, whatever else it looks like. A mask belongs to the picture that
        agrees in all fields which both templates have.

        Args:
            root: the folder that paths are relative to.
            faults: gets a line for each mask without a picture, name used twice and unknown split.

        Raises:
            FaultyDataError: there is no picture at all.
        """
        shared = {name: _shared(self.images, template) for name, template in self.masks.items()}
        owned: dict[tuple[str, ...], list[Path]] = {}
        images: dict[str, tuple[Path, dict[str, str]]] = {}
        for path, stem in _pictures(root):
            mask = next(((name, said) for name, form in self.masks.items() if (said := form.match(stem))), None)
            if mask is not None:
                owned.setdefault((mask[0], *(mask[1][field] for field in shared[mask[0]])), []).append(path)
            elif (said := self.images.match(stem)) is not None:
                if stem in images:
                    faults.add(f"picture {str(path)!r} and {str(images[stem][0])!r} are both {stem!r}: rename one")
                else:
                    images[stem] = (path, said)
        if not images:
            shown = next((f", such as {str(path.relative_to(root))!r}," for path, _ in _pictures(root)), "")
            refuse([f"no picture below {str(root)!r}{shown} has the form of data.images: mend that, or data.root"], 1)
        rows, times = [], dict.fromkeys((path for paths in owned.values() for path in paths), 0)
        for stem, (path, said) in sorted(images.items()):
            masks = tuple(tuple(owned.get((name, *(said[field] for field in shared[name])), ())) for name in self.masks)
            for mask_path in (mask_path for channel in masks for mask_path in channel):
                times[mask_path] += 1
            split = split_name(said.get("split", ""))
            if "split" in said and not split:
                faults.add(f"picture {str(path)!r} lies in a split folder {said['split']!r}: use train, val and test")
                continue
            label, group = (intern(said.get(field, "")) for field in ("class", "group"))  # kept once, not for each row
            rows.append(ImageRow(stem, path, masks, label, group, split))
        _check_owners(times, faults)
        return rows


def _check_owners(times: Mapping[Path, int], faults: Faults) -> None:
    """Every mask has one picture; `times` says how many it has."""
    for path, count in times.items():
        if count == 0:
            faults.add(f"mask {str(path)!r} belongs to no picture: add the picture or remove the mask")
        elif count > 1:
            faults.add(f"mask {str(path)!r} belongs to {count} pictures: name more fields in data.masks")


def _shared(images: Template, masks: Template) -> list[str]:
    return [field for field in masks.fields if field in images.fields]


def _pictures(root: Path) -> Iterator[tuple[Path, str]]:
    """Every picture file below a folder with its relative path without ending, in order; hidden ones are left."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        above = "" if here == root else f"{here.relative_to(root).as_posix()}/"
        for name in sorted(files):
            stem, ending = os.path.splitext(name)  # noqa: PTH122  # no path is made of what is no picture
            if ending.lower() in ENDINGS and not name.startswith("."):
                yield here / name, above + stem
