"""Recognises the layouts of published data sets, and offers the options that read them."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

import numpy as np

from tandem.data.files.faults import refuse
from tandem.data.files.images import ENDINGS
from tandem.data.files.names import ending_of
from tandem.data.files.rows import SPLIT_NAMES
from tandem.data.files.template import Template, typed
from tandem.data.files.walk import Found
from tandem.errors import DataError
from tandem.utils.files import check_regular, read_json

log = logging.getLogger(__name__)

NNUNET = re.compile(r"(images|labels)T[rs]")

MASK_WORDS = "segmentations?|segs?|masks?|labels?|gts?|ground_?truths?|annotations?|trimaps?|lesions?|labelmaps?"
MASK_NAME = re.compile(rf"(?P<id>.+?)(?P<suffix>[ _.-]+(?:{MASK_WORDS})(?:[ _-]?\d+)?)", re.IGNORECASE)
"""The name of a mask beside its image: `ISIC_0012_Segmentation`, `p1-mask`, `p1_mask_2`."""

MASKS = re.compile(MASK_WORDS, re.IGNORECASE)
MASKS_IN = re.compile(rf"(.*[ _-])?({MASK_WORDS})([ _-].*)?", re.IGNORECASE)
IMAGES = re.compile("images?|imgs?|inputs?|photos?|scans?", re.IGNORECASE)
SPLIT = re.compile(rf"({'|'.join(SPLIT_NAMES)})[ _-]?(\d{{4}})?", re.IGNORECASE)
"""Names of folders that say what the files in them are, and not of which class."""

LOOKED_AT, LOOKED_AT_FORMATS, FEW_LEVELS = 3, ("PNG", "JPEG", "BMP", "TIFF"), 32
"""Number of files whose levels are counted, their formats, and the most levels of a mask."""

FEW = 0.05
"""Below this share of the images, files that look like masks are reported, not refused."""

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


def check_layout(root: Path, files: Sequence[Found], template: Template, images: Sequence[Found], named: bool) -> None:
    """Refuses a layout whose folders or masks would be trained as classes or images.

    Args:
        root: the folder of the data set.
        files: all files below it.
        template: `data.images`.
        images: the files that it matches, without masks.
        named: whether `data.classes` names the classes.

    Raises:
        FaultyDataError: folders such as `imagesTr` and `labelsTr`, `images` and `masks` or `train` and `test` would be
            classes, or masks would be images.
    """
    at = {found.stem: found.path for found in images}
    stems = at.keys()
    names = {stem.rpartition("/")[2] for stem in stems}
    taken = sorted(
        stem for stem in stems if (match := MASK_NAME.fullmatch(stem.rpartition("/")[2])) and match["id"] in names
    )
    if taken and _like_masks([at[stem] for stem in taken]):
        line = f"{len(taken)} files that match data.images look like masks of others, such as {taken[0]!r}"
        if len(taken) < FEW * len(stems):
            log.warning("%s: set data.masks to match them", line)
        else:
            refuse([f"{line} below {str(root)!r}. {offer(root, files) or 'Set data.masks to match them'}"], 1)
    if named or "class" not in template.fields:
        return
    found = (template.match(stem) for stem in stems)
    classes = sorted({fields["class"] for fields in found if fields is not None})
    wrong = _no_classes(classes)
    if not wrong and any(map(MASKS_IN.fullmatch, classes)):
        beside = [masks for _, masks in _parallel_folders(_files(files).stems) if masks.name in classes]
        inside = [path for stem, path in at.items() if PurePosixPath(stem).parent in beside]
        wrong = bool(inside) and _like_masks(inside)
    if wrong or (all(map(IMAGES.fullmatch, classes)) and _coco(root, _files(files))):
        ready = offer(root, files) or "Set data.images and data.masks, or data.classes if these are the classes"
        refuse([f"the folders {', '.join(classes)} below {str(root)!r} are not classes. {ready}"], 1)


def _like_masks(paths: Sequence[Path]) -> bool:
    """Whether the first of some image files have few levels, as masks have, also when they were saved as JPEG."""
    from PIL import Image

    for path in sorted(paths)[:LOOKED_AT]:
        try:
            check_regular(path)
            with Image.open(path, formats=LOOKED_AT_FORMATS) as image:
                pixels = np.asarray(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, DataError):
            continue  # who reads it reports it
        levels = np.unique(pixels.reshape(pixels.shape[0] * pixels.shape[1], -1), axis=0)
        middle = np.mean((pixels > 32) & (pixels < 223)) if pixels.dtype == np.uint8 else 1
        if len(levels) > FEW_LEVELS and middle > FEW:
            return False
    return True


def _no_classes(folders: Sequence[str]) -> bool:
    """Whether the names of folders are those of splits, of images and masks, or nnU-Net's.

    Example:
        >>> [_no_classes(names) for names in (["images", "masks"], ["train2017", "val2017"], ["benign", "test"])]
        [True, True, False]
    """
    if any(NNUNET.fullmatch(name) for name in folders):
        return True
    masks, splits = (sum(map(bool, map(kind.fullmatch, folders))) for kind in (MASKS, SPLIT))
    others = [name for name in folders if not any(kind.fullmatch(name) for kind in (MASKS, IMAGES, SPLIT))]
    return not others and (splits > 1 or 0 < masks < len(folders))


def _files(files: Sequence[Found]) -> _Files:
    kept = [found for found in files if not found.why]
    stems = tuple(PurePosixPath(found.stem) for found in kept if found.ending in ENDINGS)
    return _Files(stems, tuple(found.name for found in kept if found.ending not in ENDINGS))


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
    options = [typed("data.images", images), typed("data.masks", f"{masks}{suffix}")]
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
    options = [typed("data.images", f"{images}/{{id}}"), typed("data.masks", f"{masks}/{{id}}")]
    task = [] if "{class}" in str(images) else ["task=segmentation"]
    return "images and masks in parallel folders", ["folder", *options, *task]


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
        if not MASKS_IN.fullmatch(images.name) and len(names[masks] & names[images]) > SHARE * len(names[images])
    ]


def _splits(root: Path, files: _Files) -> Offer | None:
    """A folder for each split, with or without class folders in it."""
    depths = {len(stem.parts) for stem in files.stems}
    if depths not in ({2}, {3}) or not all(stem.parts[0].lower() in SPLIT_NAMES for stem in files.stems):
        return None
    inner = "{split}/{class}/{id}" if depths == {3} else "{split}/{id}"
    return "published splits", ["folder", typed("data.images", inner), "data.masks=null"]
