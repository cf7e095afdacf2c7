"""Data sets described by their folder and file names, through templates such as `{class}/{id}_mask*`."""

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
    """A template for a path below the root, without the file's suffix.

    `{id}`, `{class}`, `{group}` and `{split}` each match one name without a slash; a field that occurs twice must match
    the same text in both places. `*` matches any text without a slash.

    Args:
        text: the template.
        where: its option, for error messages.

    Attributes:
        fields: the fields that occur in it.
        depth: number of names in the path.

    Raises:
        ConfigError: an unknown field, no `{id}`, an absolute path or a path that leads out of the root.

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
                known = ", ".join(f"{{{field}}}" for field in FIELDS)
                raise ConfigError(f"{where} is {text!r}, but {part} is not one of {known}")
            else:
                pattern += f"(?P={name})" if name in self.fields else f"(?P<{name}>[^/]+)"
                self.fields += [name] if name not in self.fields else []
        if "id" not in self.fields:
            raise ConfigError(f"{where} is {text!r}, but needs {{id}}, the name of an image")
        if text.startswith("/") or ".." in text.split("/"):
            raise ConfigError(f"{where} is {text!r}, but must lie below data.root")
        self.pattern, self.depth = re.compile(pattern), text.count("/") + 1

    def match(self, path: str) -> dict[str, str] | None:
        """Returns the text that each field matches in a path, or None if the path does not match."""
        found = self.pattern.fullmatch(path)
        return found and found.groupdict()


@dataclass(frozen=True)
class Layout:
    """Where images and masks are.

    Attributes:
        images: template of the images' paths.
        masks: template of the masks' paths, by the name of the mask channel.
    """

    images: Template
    masks: Mapping[str, Template]

    def rows(self, root: Path, faults: Faults) -> list[ImageRow]:
        """Lists a row for each image, in order of their paths.

        A file that matches a mask template is a mask, even if it also matches the template of images. A mask belongs to
        the image with the same values in all fields that both templates have.

        Args:
            root: the folder that paths are relative to.
            faults: gets a line for each mask without an image, id used twice and unknown split.

        Raises:
            FaultyDataError: no image matches.
        """
        shared = {name: _shared(self.images, template) for name, template in self.masks.items()}
        owned: dict[tuple[str, ...], list[Path]] = {}
        images: dict[str, tuple[Path, dict[str, str]]] = {}
        for path, stem in _images(root):
            mask = next(((name, found) for name, form in self.masks.items() if (found := form.match(stem))), None)
            if mask is not None:
                owned.setdefault((mask[0], *(mask[1][field] for field in shared[mask[0]])), []).append(path)
            elif (fields := self.images.match(stem)) is not None:
                if stem in images:
                    faults.add(f"image {str(path)!r} and {str(images[stem][0])!r} are both {stem!r}: rename one")
                else:
                    images[stem] = (path, fields)
        if not images:
            shown = next((f", such as {str(path.relative_to(root))!r}," for path, _ in _images(root)), "")
            refuse([f"no image below {str(root)!r}{shown} matches data.images: fix data.images or data.root"], 1)
        rows, times = [], dict.fromkeys((path for paths in owned.values() for path in paths), 0)
        for stem, (path, fields) in sorted(images.items()):
            owners = {name: (name, *(fields[field] for field in shared[name])) for name in self.masks}
            masks = tuple(tuple(owned.get(owner, ())) for owner in owners.values())
            for mask_path in (mask_path for channel in masks for mask_path in channel):
                times[mask_path] += 1
            split = split_name(fields.get("split", ""))
            if "split" in fields and not split:
                faults.add(f"image {str(path)!r} is in the split folder {fields['split']!r}: use train, val and test")
                continue
            label, group = (intern(fields.get(field, "")) for field in ("class", "group"))  # one string for all rows
            rows.append(ImageRow(stem, path, masks, label, group, split))
        _check_owners(times, faults)
        return rows


def _check_owners(times: Mapping[Path, int], faults: Faults) -> None:
    """Adds a fault for each mask that does not belong to exactly one image; `times` counts the images of each mask."""
    for path, count in times.items():
        if count == 0:
            faults.add(f"mask {str(path)!r} belongs to no image: add the image or remove the mask")
        elif count > 1:
            faults.add(f"mask {str(path)!r} belongs to {count} images: use more fields in data.masks")


def _shared(images: Template, masks: Template) -> list[str]:
    return [field for field in masks.fields if field in images.fields]


def _images(root: Path) -> Iterator[tuple[Path, str]]:
    """Yields each image file below a folder with its relative path without suffix, in order, except hidden ones."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        above = "" if here == root else f"{here.relative_to(root).as_posix()}/"
        for name in sorted(files):
            stem, ending = os.path.splitext(name)  # noqa: PTH122  # faster; creates no Path for other files
            if ending.lower() in ENDINGS and not name.startswith("."):
                yield here / name, above + stem
