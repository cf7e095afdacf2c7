"""Recognises the layouts of published data sets, and offers the options that read them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from string import digits
from typing import Any

from tandem.data.files.names import ending_of
from tandem.data.files.rows import SPLIT_NAMES
from tandem.data.files.template import typed
from tandem.data.files.vocabulary import IMAGES, MASK_NAME, MASKS_IN, SPLIT
from tandem.data.files.walk import Found
from tandem.errors import DataError
from tandem.utils.files import read_json

COCO_KEYS = {"images", "annotations", "categories"}
LARGEST_JSON = 64_000_000
"""Bytes; a larger JSON file is not opened to see whether it is COCO's."""

SHARE = 0.5
"""At least this share of the image files takes part in what is recognised."""


@dataclass(frozen=True)
class _Files:
    """The image files below a root: their relative paths without ending, and all others."""

    stems: tuple[PurePosixPath, ...]
    others: tuple[str, ...]


def _files(files: Sequence[Found]) -> _Files:
    kept = [found for found in files if not found.why]
    stems = tuple(PurePosixPath(found.stem) for found in kept if found.read)
    return _Files(stems, tuple(found.name for found in kept if not found.read))


def offer(root: Path, files: Sequence[Found]) -> str:
    """One sentence with the options that read a known layout; empty if none is recognised.

    Args:
        root: the folder of the data set.
        files: all files below it.
    """
    known = _files(files)
    for recognise in (_nnunet, _coco, _beside, _parallel, _splits):
        if found := recognise(root, known):
            what, (source, *options) = found
            return f"It looks like {what}: data={source} data.root={quote(str(root))} {' '.join(options)}"
    return ""


def has_coco(root: Path, files: Sequence[Found]) -> bool:
    """Whether a JSON file below a folder has COCO's annotations."""
    return _coco(root, _files(files)) is not None


Offer = tuple[str, list[str]]
"""What was recognised, and the options that read it, the source first."""


def _nnunet(root: Path, files: _Files) -> Offer | None:
    """nnU-Net's raw data sets (Isensee et al., 2021): `imagesTr/case_0000.png` and `labelsTr/case.png`."""
    at = next((stem.parent.parent for stem in files.stems if stem.parent.name == "imagesTr"), None)
    if at is None:
        volumes = sorted(
            {ending_of(n) for n in files.others if PurePosixPath(n).parent.name in ("imagesTr", "labelsTr")}
        )
        what = f"nnU-Net's layout, but its {' and '.join(volumes)} files are not read; export 2-D slices as PNG, then"
        return (what, ["folder", *_nnunet_options("", "{id}_0000", both=False)]) if volumes else None
    inside = [stem for stem in files.stems if stem.parent.parent == at]
    channels = sorted({stem.name[-4:] for stem in inside if re.fullmatch(r".+_\d{4}", stem.name)})
    both = any(stem.parent.name == "labelsTs" for stem in inside)
    options = _nnunet_options("" if str(at) == "." else f"{at}/", "{id}_0000" if channels else "{id}", both)
    labels = _nnunet_labels(root / at / "dataset.json")
    if len(labels) > 1:
        options += [f"'data.mask_values={{{', '.join(f'{value}: {name}' for name, value in labels.items())}}}'"]
    options.append("task=semantic" if len(labels) > 1 else "task=segmentation")
    more = f" (with {len(channels)} channels, of which the first is read)" if len(channels) > 1 else ""
    return f"nnU-Net's layout{more}", ["folder", *options]


def _nnunet_options(at: str, name: str, both: bool) -> list[str]:
    part = "{split}" if both else "Tr"
    return [typed("data.images", f"{at}images{part}/{name}"), typed("data.masks", f"{at}labels{part}/{{id}}")]


def _nnunet_labels(path: Path) -> dict[str, int]:
    """The foreground labels of a `dataset.json`; empty without one, or if regions overlap."""
    labels = _json(path).get("labels")
    if not isinstance(labels, Mapping):
        return {}
    pairs = [(str(k), v) if not str(k).isdecimal() else (str(v), int(k)) for k, v in labels.items()]  # v2, v1
    if not all(isinstance(value, int) and re.fullmatch(r"[\w -]+", name) for name, value in pairs):
        return {}
    return {re.sub(r"\W+", "_", name): value for name, value in pairs if value != 0}


def _coco(root: Path, files: _Files) -> Offer | None:
    """COCO's annotations (Lin et al., 2014): JSON files with polygons or run lengths."""
    texts = [name for name in files.others if name.lower().endswith(".json")]
    paths = [name for name in texts if _looked_at(name, texts) and is_coco(root / name)]
    paths = [name for name in paths if "instances" in PurePosixPath(name).name.lower()] or paths
    if not paths:
        return None
    of_split = {split: name for name in paths if (split := _split_of(name))}
    if len(of_split) == len(paths) and of_split.keys() >= {"train", "test"}:
        value = f"{{{','.join(f'{split}: {name}' for split, name in sorted(of_split.items()))}}}"
    else:
        value = paths[0] if len(paths) == 1 else f"[{','.join(paths)}]"
    option = f"'data.annotations={value}'" if len(paths) > 1 else typed("data.annotations", value)
    return "COCO annotations", ["coco", option, "task=segmentation"]


def _looked_at(name: str, texts: Sequence[str]) -> bool:
    """Whether to open a JSON file: a folder with one for each image is none of COCO's."""
    return (
        len(texts) <= 50 or re.search("coco|instances|annotation", PurePosixPath(name).name, re.IGNORECASE) is not None
    )


def _split_of(name: str) -> str:
    """The split that the name or folder of an annotation file says; empty if none."""
    path = PurePosixPath(name)
    words = re.split(r"[\W_\d]+", f"{path.parent.name}_{path.stem}".lower())
    return next((SPLIT_NAMES[word] for word in reversed(words) if word in SPLIT_NAMES), "")


def is_coco(path: Path) -> bool:
    """Whether a JSON file has COCO's keys; files of more than 64 MB are judged by their name."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            return re.match(r"instances|.*coco", path.name, re.IGNORECASE) is not None
    except OSError:
        return False
    return _json(path).keys() >= COCO_KEYS


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError, DataError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _beside(root: Path, files: _Files) -> Offer | None:
    """Masks that are named after their images: `a.jpg` and `a_Segmentation.png`, in one folder or in two."""
    found = Counter(_pairs(files.stems))
    if not found:
        return None
    (suffix, images, masks), count = found.most_common(1)[0]
    if 2 * count < SHARE * len(files.stems):
        return None
    numbered = any(other != suffix and other.startswith(suffix) and at == images for other, at, _ in found)
    options = [typed("data.images", images), typed("data.masks", f"{masks}{suffix}{'*' if numbered else ''}")]
    task = "" if "{class}" in images else "task=segmentation"
    return "images with masks named after them", ["folder", *options, *filter(None, [task])]


def _pairs(stems: Sequence[PurePosixPath]) -> Iterator[tuple[str, str, str]]:
    """The suffix of each mask, and the templates of its image and, without the suffix, of the mask."""
    known, at = set(stems), {stem.name: stem.parent for stem in stems}
    many = len({stem.parent for stem in stems}) > 1
    for stem in stems:
        match = MASK_NAME.fullmatch(stem.name)
        if match and stem.with_name(match["id"]) in known:
            form = _form(stem.parent, many)
            yield match["suffix"], form, form
        elif match and match["id"] in at:
            yield match["suffix"], str(at[match["id"]] / "{id}"), str(stem.parent / "{id}")


def _form(folder: PurePosixPath, many: bool) -> str:
    """The template of the images in a folder; with several such folders, their last parts are classes."""
    if str(folder) == ".":
        return "{id}"
    if not many or IMAGES.fullmatch(folder.name):
        return f"{folder}/{{id}}"
    field = "{split}" if SPLIT.fullmatch(folder.name) else "{class}"
    return f"{folder.parent / field}/{{id}}"


def _parallel(root: Path, files: _Files) -> Offer | None:
    """Masks in a folder of their own, with the names of their images: `images/a.jpg` and `masks/a.png`."""
    found = _parallel_folders(files.stems)
    if not found:
        return None
    images, masks = found[0]
    same = [pair for pair in found if (pair[0].name, pair[1].name) == (images.name, masks.name)]
    if len(same) > 1:  # benign/images and malignant/images
        above = _form(images.parent, many=True).removesuffix("/{id}")
        images, masks = (PurePosixPath(above) / folder.name for folder in (images, masks))
    names = [[stem.name for stem in files.stems if stem.parent == folder] for folder in found[0]]
    forms = ("{id}", "{id}") if set(names[0]) & set(names[1]) else tuple("{id}".join(_affixes(part)) for part in names)
    options = [typed("data.images", f"{images}/{forms[0]}"), typed("data.masks", f"{masks}/{forms[1]}")]
    task = [] if "{class}" in str(images) else ["task=segmentation"]
    return "images and masks in parallel folders", ["folder", *options, *task]


def _affixes(names: Sequence[str]) -> tuple[str, str]:
    """What all names begin and end with, apart from digits.

    Example:
        >>> _affixes(["mask_010-l", "mask_021-r", "mask_011-l"]), _affixes(["a1_seg", "b22_seg"])
        (('mask_', ''), ('', '_seg'))
    """
    start = _beginning(names).rstrip(digits)
    end = _beginning([name[len(start) :][::-1] for name in names])[::-1].lstrip(digits)
    return start, end


def _beginning(names: Sequence[str]) -> str:
    """The letters that all names begin with."""
    least, most = min(names), max(names)
    return next((least[:place] for place, letter in enumerate(least) if most[place : place + 1] != letter), least)


def _ids(names: Iterable[str]) -> set[str]:
    """Names without what all of them begin and end with."""
    whole = list(names)
    start, end = _affixes(whole)
    return {name[len(start) : len(name) - len(end)] for name in whole}


def _parallel_folders(stems: Sequence[PurePosixPath]) -> list[tuple[PurePosixPath, PurePosixPath]]:
    """Folders of images, each with the folder beside it that has masks of the same names."""
    names: dict[PurePosixPath, set[str]] = {}
    for stem in stems:
        names.setdefault(stem.parent, set()).add(stem.name)
    beside: dict[PurePosixPath, list[PurePosixPath]] = {}
    for folder in names:
        beside.setdefault(folder.parent, []).append(folder)
    return [
        (images, masks)
        for masks in names
        if MASKS_IN.fullmatch(masks.name)
        for images in beside[masks.parent]
        if not MASKS_IN.fullmatch(images.name) and _same_names(names[images], names[masks])
    ]


def _same_names(images: set[str], masks: set[str]) -> bool:
    """Whether masks have the names of images, also with other beginnings or ends."""
    enough = SHARE * len(images)
    return len(images & masks) > enough or (len(images) > 1 and len(_ids(images) & _ids(masks)) > enough)


def _splits(root: Path, files: _Files) -> Offer | None:
    """A folder for each split, with or without class folders in it."""
    depths = {len(stem.parts) for stem in files.stems}
    if depths not in ({2}, {3}) or not all(stem.parts[0].lower() in SPLIT_NAMES for stem in files.stems):
        return None
    inner = "{split}/{class}/{id}" if depths == {3} else "{split}/{id}"
    return "published splits", ["folder", typed("data.images", inner), "data.masks=null"]
