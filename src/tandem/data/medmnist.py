"""The MedMNIST collection (Yang et al., "MedMNIST v2", Scientific Data 10:41, 2023): small, with official splits."""

import hashlib
import logging
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tandem.config.suggest import nearest
from tandem.data.batch import MISSING_LABEL
from tandem.data.files.cache import DAMAGE
from tandem.data.files.faults import Faults
from tandem.data.otsu import otsu_masks
from tandem.data.samples import SPLITS, Samples, join_samples
from tandem.data.shared_options import SplitSource
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError
from tandem.utils.files import check_regular, write_whole

log = logging.getLogger(__name__)

SIZES = (28, 64, 128, 224)
MASKS = ("none", "otsu", "otsu_dark")
MULTILABEL = "multi-label, binary-class"
ORDINAL = "ordinal-regression"
GRADE = "grade"
WEAK = "weak_lesion"

Arrays = dict[str, NDArray[Any]]


class MedMNIST(SplitSource):
    """A 2-D data set of the MedMNIST collection. Channels, class names and kind come from the medmnist package.

    Sets with one class per image (binary and multi-class) have `label`; the ordinal set (retinamnist) also has its
    grade as a number, in the column `grade`; the multi-label set (chestmnist) has `findings` and no classes.

    The collection has no masks. `masks=otsu` computes weak masks by Otsu's threshold on the grey levels of each image.
    They show what is bright, not what an expert would outline; the name of the data set marks them.

    Args:
        flag: name of the set, such as `pneumoniamnist`.
        size: 28, 64, 128 or 224.
        masks: `none`, `otsu` (weak masks: the bright pixels of each image) or `otsu_dark` (the dark pixels).
        file: the `.npz` file; None: look in `root`.
        root: folder of the files, with the names that the medmnist package uses.
        download: whether to download a missing file, which needs a network.
        verify: whether the file must have the official checksum.
        resplit: whether to join the official splits and split again.
        shared: options of `SplitSource`.

    Attributes:
        name: the flag; with weak masks, a name that marks them.
        kind: the package's name for the task.
        channels: number of channels of the images.
        targets: findings, columns and weak masks.
        files_fingerprint: after `load`, the MD5 of the file.

    Raises:
        ConfigError: the flag is unknown, or an argument is out of range.
    """

    def __init__(
        self,
        flag: str,
        *,
        size: int = 28,
        masks: str = "none",
        file: str | None = None,
        root: str = "~/.medmnist",
        download: bool = False,
        verify: bool = True,
        resplit: bool = False,
        **shared: Any,
    ) -> None:
        known = info_table()
        if flag not in known:
            raise ConfigError(f"data.flag is {flag!r}: {nearest(flag, known)}")
        if size not in SIZES:
            raise ConfigError(f"data.size is {size!r}, but {flag} exists in {', '.join(map(str, SIZES))} pixels only")
        if masks not in MASKS:
            raise ConfigError(f"data.masks is {masks!r}: {nearest(masks, MASKS)}")
        super().__init__(**shared)
        self.flag, self.size, self.masks = flag, size, masks
        self.official = known[flag]
        self.kind = str(self.official["task"])
        self.channels = int(self.official["n_channels"])
        self.name = flag if masks == "none" else f"{flag}-weak-{masks}"
        self.file, self.root, self.download, self.verify = file, root, download, verify
        self.resplit = resplit
        names = tuple(self.official["label"][key] for key in sorted(self.official["label"], key=int))
        multilabel = self.kind == MULTILABEL
        self.classes: tuple[str, ...] = () if multilabel else names
        self.targets = Targets(
            mask_channels=() if masks == "none" else (WEAK,),
            findings=names if multilabel else (),
            columns=(GRADE,) if self.kind == ORDINAL else (),
        )

    def load(self) -> dict[str, Samples]:
        """Reads the splits `train`, `val` and `test`, official or drawn; ids have the form `train/000012`.

        Raises:
            DataError: the file is absent, damaged, not official or of another set, or labels are out of range.
        """
        path, arrays = self.read()
        faults = Faults(self.on_error)
        parts = {split: self._samples(path, split, arrays, faults) for split in SPLITS}
        faults.settle(sum(len(arrays[f"{split}_labels"]) for split in SPLITS), "rows")
        self.skipped = tuple(faults.found)
        if self.masks != "none":
            log.warning("%s: the masks are weak: Otsu's threshold, not outlines by an expert", self.name)
        redivided = self.resplit or self.division.folds is not None or self.division.file is not None
        return self._divided(parts) if redivided else parts

    def read(self) -> tuple[Path, Arrays]:
        """Reads the file; returns its path and arrays.

        Raises:
            DataError: the file is absent, damaged, not official or of another set.
        """
        path = self._find()
        self.files_fingerprint, self.files_root, self.lists = checksum(path), path.parent.resolve(), (path.resolve(),)
        if self.verify and self.files_fingerprint != self._official("MD5"):
            raise DataError(
                f"{str(path)!r} is not the official {self._stem} (md5 {self.files_fingerprint}, not "
                f"{self._official('MD5')}): download it again, or set data.verify=false to use it anyway"
            )
        return path, self._checked(path, read_npz(path))

    @cached_property
    def _stem(self) -> str:
        """Name of the official file."""
        return f"{self.flag}{'' if self.size == 28 else f'_{self.size}'}.npz"

    def _official(self, key: str) -> str:
        return str(self.official[key if self.size == 28 else f"{key}_{self.size}"])

    def _find(self) -> Path:
        """Path of the file, which is downloaded if necessary."""
        path = Path(self.file or Path(self.root) / self._stem).expanduser()
        if path.is_file():
            return path
        if self.file is not None:
            raise DataError(f"data.file={self.file!r} is not a file: give the path of {self._stem}")
        if not self.download:
            raise DataError(
                f"{str(path)!r} is missing: give data.file=..., or set data.download=true (needs a network)"
            )
        fetch_checked(self._official("url"), self._official("MD5"), path)
        return path

    def _checked(self, path: Path, arrays: Arrays) -> Arrays:
        """Checks that the arrays are those of this set and size."""
        labels = len(self.targets.findings) or 1
        colours = () if self.channels == 1 else (self.channels,)
        for split in SPLITS:
            images, answers = arrays[f"{split}_images"], arrays[f"{split}_labels"]
            shapes = ((len(images), self.size, self.size, *colours), (len(images), labels))
            right = images.dtype == np.uint8 and np.issubdtype(answers.dtype, np.integer)
            if not right or (images.shape, answers.shape) != shapes:
                raise DataError(
                    f"{str(path)!r}: {split} has images {images.dtype} {images.shape} and labels {answers.dtype} "
                    f"{answers.shape}, but {self.flag} at {self.size} pixels has uint8 {shapes[0]} and whole numbers "
                    f"{shapes[1]}: see data.flag and data.size"
                )
        return arrays

    def _samples(self, path: Path, split: str, arrays: Arrays, faults: Faults) -> Samples:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"].astype(np.int64)
        limit = 2 if self.targets.findings else len(self.classes)
        wrong = ((labels < 0) | (labels >= limit)).any(1)
        for row in np.flatnonzero(wrong).tolist():
            shown = labels[row].tolist() if self.targets.findings else int(labels[row, 0])
            faults.add(f"label {shown} is not in 0 to {limit - 1}: fix the file", f"{str(path)!r}, {split} row {row}")
        kept = np.flatnonzero(~wrong)
        pixels = images[kept][:, None] if self.channels == 1 else images[kept].transpose(0, 3, 1, 2)
        pixels = np.ascontiguousarray(pixels)
        masks = np.empty((len(kept), 0, self.size, self.size), np.uint8)
        if self.masks != "none":
            masks = otsu_masks(pixels, dark=self.masks == "otsu_dark")
        answers = torch.from_numpy(labels[kept])
        multilabel = bool(self.targets.findings)
        return Samples(
            images=torch.from_numpy(pixels),
            labels=torch.full((len(kept),), MISSING_LABEL) if multilabel else answers[:, 0].clone(),
            masks=torch.from_numpy(masks),
            ids=tuple(f"{split}/{row:06d}" for row in kept.tolist()),
            findings=answers.to(torch.uint8) if multilabel else None,
            columns={name: answers[:, 0].float() for name in self.targets.columns},
        )

    def _divided(self, parts: Mapping[str, Samples]) -> dict[str, Samples]:
        """Joins the official splits and splits them again."""
        whole = join_samples([parts[split] for split in SPLITS])
        labels = whole.labels.tolist()
        rows = self.division.rows(whole.ids, labels, whole.ids, self.classes, left_out=bool(self.skipped))
        return {split: whole.pick(index.tolist()) for split, index in rows.items()}


def info_table() -> dict[str, dict[str, Any]]:
    """The medmnist package's table of its 2-D sets."""
    from medmnist import INFO

    return {flag: entry for flag, entry in INFO.items() if not flag.endswith("3d")}


def checksum(path: Path) -> str:
    """MD5 of a file, as MedMNIST publishes it; it identifies files, but does not protect against forgery."""
    check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def read_npz(path: Path) -> Arrays:
    """Reads the six arrays of a MedMNIST file, without unpickling.

    Raises:
        DataError: the file is damaged, contains pickled objects or lacks an array.
    """
    check_regular(path)
    names = [f"{split}_{what}" for split in SPLITS for what in ("images", "labels")]
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if absent := [name for name in names if name not in archive.files]:
                raise DataError(f"{str(path)!r} lacks {', '.join(absent)}: it is not a MedMNIST file")
            return {name: archive[name] for name in names}
    except DAMAGE as error:
        text = " ".join(str(error).split())[:120]
        raise DataError(
            f"{str(path)!r} is damaged or not an .npz file of plain arrays ({text}): download it again"
        ) from error


def fetch_checked(url: str, md5: str, path: Path) -> None:
    """Downloads a file; it is written only if its checksum is right.

    Raises:
        DataError: there is no network, or the downloaded file has another checksum.
    """
    if not url.startswith("https://"):
        raise DataError(
            f"{url!r} is not downloaded, because it is not an https address: download it by hand, give data.file=..."
        )
    log.info("downloading %s", url)
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 (https only, see above)
            content = answer.read()
    except OSError as error:
        text = " ".join(str(error).split())
        raise DataError(f"{url} cannot be downloaded ({text}): download it by hand and give data.file=...") from error
    if (found := hashlib.md5(content, usedforsecurity=False).hexdigest()) != md5:
        raise DataError(f"{url} returned a file with the md5 {found}, not {md5}: try again, or download it by hand")
    write_whole(path, lambda file: file.write(content))
