"""Data sets described by their folder and file names, through templates such as `{class}/{id}_mask*`."""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any, TypeVar

from tandem.data.files.faults import Faults, refuse
from tandem.data.files.images import PILLOW, reader_of
from tandem.data.files.known_layouts import offer
from tandem.data.files.layout_checks import check_layout, has_two_levels
from tandem.data.files.names import is_utf8, nfc, preferred
from tandem.data.files.rows import ImageRow, split_name
from tandem.data.files.template import Template
from tandem.data.files.unused import LINKED_TWICE, MASK_FORMAT, NO_MATCH, OTHER, Unused
from tandem.data.files.walk import Found, walk

__all__ = ["Layout", "Template"]

log = logging.getLogger(__name__)

Owner = tuple[str, ...]
"""A mask channel, and the values of the fields that its template shares with that of the images."""

Value = TypeVar("Value", bound=tuple[Found, Any])


@dataclass
class _Matched:
    """Files by what they are: images by stem, masks by stem, and files in formats that are not read.

    `doubtful` has the stems of images and the owners of masks that two files claim; `beside` has masks with the name
    of a scan.
    """

    images: dict[str, tuple[Found, dict[str, str]]] = field(default_factory=dict)
    masks: dict[str, tuple[Found, Owner]] = field(default_factory=dict)
    unread_images: dict[Owner, Found] = field(default_factory=dict)
    unread_masks: list[tuple[Found, Owner]] = field(default_factory=list)
    doubtful: set[str | Owner] = field(default_factory=set)
    beside: list[Found] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """Where images and masks are.

    Attributes:
        images: template of the images' paths.
        masks: template of the masks' paths, by the name of the mask channel.
        no_mask: what an image without a mask means, `missing` or `empty`; see `tandem.data.folder.Folder`.
        named: whether the names of the classes are given, so that a folder's name is meant as one.
        unused: counts the files that are not used.
    """

    images: Template
    masks: Mapping[str, Template]
    no_mask: str = "missing"
    named: bool = False
    unused: Unused = field(default_factory=Unused)

    def rows(self, root: Path, faults: Faults) -> list[ImageRow]:
        """Lists a row for each image, in order of their paths.

        A file that matches a mask template is a mask, even if it also matches the template of images. A mask belongs to
        the image with the same values in all fields that both templates have. Of two files that differ in their ending
        only, none is chosen, unless one is DICOM or NIfTI and the other an image file of two levels: that is its mask.

        Args:
            root: the folder that paths are relative to.
            faults: gets a line for each mask without an image, name used twice, unknown split and unreadable name.

        Raises:
            FaultyDataError: no image matches, or the folders' names are those of a known layout and not of classes.
        """
        files = list(walk(root))
        matched = self._match(files, faults)
        if not matched.images:
            self._refuse_all(root, files)
        check_layout(root, files, self.images, [found for found, _ in matched.images.values()], self.named)
        owned: dict[Owner, list[Path]] = {}
        for found, owner in matched.masks.values():
            owned.setdefault(owner, []).append(found.path)
        rows, times, owners = [], dict.fromkeys((found.path for found, _ in matched.masks.values()), 0), set()
        for stem, found, fields in sorted((found.stem, found, fields) for found, fields in matched.images.values()):
            mine = self._owners(fields)
            owners.update(mine)
            masks = tuple(tuple(owned.get(owner, ())) for owner in mine)
            for path in (path for channel in masks for path in channel):
                times[path] += 1
            if not matched.doubtful.isdisjoint((nfc(stem), *mine)):
                continue
            split = split_name(fields.get("split", ""))
            if "split" in fields and not split:
                faults.add(
                    f"image {str(found.path)!r} is in the split folder {fields['split']!r}: use train, val and test"
                )
                continue
            label, group = (intern(fields.get(name, "")) for name in ("class", "group"))  # one string for all rows
            rows.append(ImageRow(stem, found.path, masks, label, group, split))
        if matched.beside:
            log.info(
                "image files of two levels with the name of a DICOM or NIfTI image are its mask: %d",
                len(matched.beside),
            )
        self._check_owners(matched, times, faults)
        self._count_unread(matched, owned, owners, faults)
        return rows

    def _match(self, files: Iterable[Found], faults: Faults) -> _Matched:
        """Sorts the files into images and masks; counts those that are neither."""
        files = sorted(files, key=lambda file: file.linked)  # a file that needs no link is read without one
        matched, real = _Matched(), _Real() if any(found.linked for found in files) else None
        for found in files:
            stem, ending = found.stem, found.ending
            mask = None if found.why else self._mask(stem, ending)
            image = None if found.why or mask else self.images.match(stem, ending)
            if mask is None and image is None:
                self.unused.add_found(found, NO_MATCH)
            elif not found.read:
                if mask is not None:
                    matched.unread_masks.append((found, mask))
                    continue
                self.unused.add_found(found, NO_MATCH)
                if ending not in (*OTHER, "") and image is not None:
                    matched.unread_images.update(dict.fromkeys(self._owners(image), found))
            elif not is_utf8(found.name):
                faults.add(f"the name of {str(found.path)!r} is not UTF-8: rename the file")
            elif real is not None and (first := real.first(found)) is not None:
                self.unused.add_found(found, LINKED_TWICE)
                if first.linked and image is not None:
                    faults.add(f"image {str(found.path)!r} is {str(first.path)!r}, through links: remove one of them")
            elif mask is not None:
                if not self._keep(matched.masks, (found, mask), self.masks[mask[0]], "mask", faults):
                    matched.doubtful.add(mask)
            elif image and self._is_mask_of_scan(matched, found, image):
                continue
            elif image and not self._keep(matched.images, (found, image), self.images, "image", faults):
                matched.doubtful.add(nfc(stem))
        for stem, (_, mask) in matched.masks.items():  # a copy of a mask with an ending that data.masks excludes
            if stem in matched.images and mask not in self._owners(matched.images[stem][1]):
                self.unused.add_found(matched.images.pop(stem)[0], NO_MATCH)
        return matched

    def _is_mask_of_scan(self, matched: _Matched, found: Found, fields: dict[str, str]) -> bool:
        """Whether a file and an earlier one are a scan and an image of its name with two levels: its mask; keeps both.

        Args:
            matched: the files so far.
            found: matches the template of images.
            fields: what it matches.
        """
        key = nfc(found.stem)
        if key not in matched.images or len(self.masks) != 1:
            return False
        first = matched.images[key][0]
        scans = [file for file in (first, found) if reader_of(file.path) is not PILLOW]
        if len(scans) != 1:
            return False
        (drawn,) = (file for file in (first, found) if file not in scans)
        if not has_two_levels(drawn.path):
            return False
        matched.images[key] = (scans[0], fields)
        matched.masks[key] = (drawn, self._owners(fields)[0])
        matched.beside.append(drawn)
        return True

    def _mask(self, stem: str, ending: str) -> Owner | None:
        for channel, template in self.masks.items():
            if (fields := template.match(stem, ending)) is not None:
                return (channel, *(fields[name] for name in template.fields if name in self.images.fields))
        return None

    def _owners(self, fields: Mapping[str, str]) -> list[Owner]:
        """What the masks of an image have to share with it, for each channel."""
        return [
            (channel, *(fields[name] for name in template.fields if name in self.images.fields))
            for channel, template in self.masks.items()
        ]

    @staticmethod
    def _keep(kept: dict[str, Value], value: Value, template: Template, what: str, faults: Faults) -> bool:
        """Keeps a file by its stem, unless another one has it, which is a fault; returns whether it was kept."""
        found = value[0]
        first = kept.setdefault(nfc(found.stem), value)[0]
        if first is found:
            return True
        endings = [file.ending for file in (first, found)]
        best = preferred(endings)
        ways = f"or set {template.with_ending(best or endings[0])}"
        ways += " (lossless)" if best else f" or {template.with_ending(endings[1])}"
        fix = f"rename one, {ways}" if endings[0] != endings[1] else "rename one"
        faults.add(f"{what} {str(found.path)!r} and {str(first.path)!r} are both {found.stem!r}: {fix}")
        return False

    def _check_owners(self, matched: _Matched, times: Mapping[Path, int], faults: Faults) -> None:
        """Adds a fault for each mask that does not belong to exactly one image; `times` counts its images."""
        for found, owner in matched.masks.values():
            place, count = f"mask {str(found.path)!r}", times[found.path]
            if count > 1:
                faults.add(f"{place} belongs to {count} images: use more fields in data.masks")
            elif count == 0 and owner in matched.unread_images:
                image = str(matched.unread_images[owner].path)
                faults.add(f"{place} belongs to {image!r}, which is in a format that is not read: convert that image")
            elif count == 0:
                narrower = self.images.match(found.stem, found.ending) is not None
                more = ", or make data.masks narrower if it is an image" if narrower else ""
                faults.add(f"{place} belongs to no image: add the image or remove the mask{more}")

    def _count_unread(
        self, matched: _Matched, owned: Mapping[Owner, object], owners: set[Owner], faults: Faults
    ) -> None:
        """Counts masks in formats that are not read; where no mask means an empty one, they are faults."""
        for found, owner in matched.unread_masks:
            lost = owner in owners and owner not in owned
            self.unused.add_found(found, MASK_FORMAT if lost else NO_MATCH)
            if lost and self.no_mask == "empty":
                faults.add(
                    f"mask {str(found.path)!r} is in a format that is not read, and with data.no_mask=empty its image "
                    "would count as one without a lesion: convert the mask to PNG, or set data.no_mask=missing"
                )

    def _refuse_all(self, root: Path, files: list[Found]) -> None:
        """Raises, because no image matches; says why, as far as that can be seen."""
        read = [found for found in files if not found.why and found.read]
        both = [found for found in read if self.images.match(found.stem, found.ending) is not None]
        ready = offer(root, files)
        if both:
            line = (
                f"all {len(both)} files below {str(root)!r} that match data.images match data.masks too, so they count "
                f"as masks; the first: {both[0].name!r}: make data.masks narrower, or set data.masks=null"
            )
            refuse([f"{line}. {ready}" if ready else line], 1)
        if ready:
            refuse([f"no image below {str(root)!r} matches data.images. {ready}"], 1)
        shown = f", such as {read[0].name!r}," if read else ""
        endings = sorted({found.ending for found in files if not found.why and not found.read} - {*OTHER, ""})
        unread = f" ({', '.join(endings[:5])} files are not read)" if endings else ""
        refuse([f"no image below {str(root)!r}{shown} matches data.images{unread}: fix data.images or data.root"], 1)


class _Real:
    """The files themselves, where links lead to one file under two names."""

    def __init__(self) -> None:
        self.known: dict[Path, Found] = {}
        self.folders: dict[Path, Path] = {}

    def first(self, found: Found) -> Found | None:
        """The file that was seen before under another name, through a link to a folder; None if there is none."""
        folder = found.path.parent
        if found.linked and folder not in self.folders:
            self.folders[folder] = Path(os.path.realpath(folder))
        path = self.folders[folder] / found.path.name if found.linked else found.path
        first = self.known.setdefault(path, found)
        return None if first is found else first
