"""`rows.npz`: ids and targets of a split, which are in memory, and where in the shards each row lies."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tandem.data.files.cache import DAMAGE
from tandem.data.loading.storage import as_tensor
from tandem.data.samples import Samples
from tandem.data.shards.manifest import IMAGE, MASK, ROWS, Manifest
from tandem.data.shards.pixels import ShardedPixels, ShardedSplit
from tandem.errors import DataError
from tandem.utils.files import check_regular, write_whole

Arrays = dict[str, NDArray[Any]]

END = b"\0"
"""Between two names: no name of a file has it."""

OPTIONAL = ("findings", "origin", "levels", "spacing")


def write_rows(folder: Path, samples: Samples, place: NDArray[np.int64], unknown: NDArray[np.bool_]) -> None:
    """Writes what belongs to the rows of a split besides their pixels.

    Args:
        folder: of the split.
        samples: the split.
        place: (N,) place of each row in the order of the shards.
        unknown: (N,) which rows have no mask.

    Raises:
        DataError: an id holds a character that separates ids.
    """
    arrays: Arrays = {"labels": samples.labels.numpy(), "place": place, "unknown": unknown}
    arrays |= {"ids": _joined(samples.ids), "groups": _joined(samples.groups)}
    arrays |= {name: value.numpy() for name in OPTIONAL if (value := getattr(samples, name)) is not None}
    arrays |= {f"column{index}": column.numpy() for index, column in enumerate(samples.columns.values())}
    write_whole(folder / ROWS, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]  # names are no options


def read_rows(split: ShardedSplit, manifest: Manifest, count: int) -> Samples:
    """A split whose pixels stay in the shards.

    Args:
        split: the shards.
        manifest: of the data set.
        count: number of rows.

    Raises:
        DataError: the file is damaged, or does not belong to these shards.
    """
    file = split.folder / ROWS
    try:
        arrays = _arrays(file)
        place, unknown = arrays["place"], arrays["unknown"]
        if place.dtype != np.int64 or unknown.dtype != np.bool_ or unknown.shape != (count,):
            raise ValueError("place or unknown has another type")
        if place.shape != (count,) or not np.array_equal(np.sort(place), np.arange(count)):
            raise ValueError("place is no order of the rows")
        of_storage = np.empty(count, np.bool_)
        of_storage[place] = unknown
        optional: dict[str, Any] = {name: torch.from_numpy(arrays[name]) for name in OPTIONAL if name in arrays}
        return Samples(
            images=as_tensor(ShardedPixels(split, IMAGE, place)),
            labels=torch.from_numpy(arrays["labels"]),
            masks=_masks(split, manifest, place, of_storage),
            ids=_parts(arrays["ids"]),
            groups=_parts(arrays["groups"]),
            columns={name: torch.from_numpy(arrays[f"column{i}"]) for i, name in enumerate(manifest.targets.columns)},
            **optional,
        )
    except (*DAMAGE, DataError) as error:
        text = " ".join(str(error).split())[:120]
        raise DataError(f"{file} is damaged or foreign ({text}): copy or write the shards again") from error


def _masks(split: ShardedSplit, manifest: Manifest, place: NDArray[np.int64], unknown: NDArray[np.bool_]) -> Tensor:
    if not manifest.targets.mask_depth:
        return torch.empty((len(place), 0, *manifest.size), dtype=torch.uint8)
    return as_tensor(ShardedPixels(split, MASK, place, unknown, manifest.targets.mask_values))


def _arrays(file: Path) -> Arrays:
    """All arrays of a file: none is compressed, so that they need no more memory than the file has bytes."""
    check_regular(file)
    with file.open("rb") as opened:
        with zipfile.ZipFile(opened) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("a compressed array")
        opened.seek(0)
        with np.load(opened, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}


def _joined(names: tuple[str, ...]) -> NDArray[np.uint8]:
    encoded = [name.encode("utf-8", "surrogateescape") for name in names]
    if wrong := [name for name, text in zip(names, encoded, strict=True) if END in text]:
        raise DataError(f"the id {wrong[0]!r} holds a character that no name of a file has: rename it")
    return np.frombuffer(b"".join(text + END for text in encoded), np.uint8)


def _parts(text: NDArray[np.uint8]) -> tuple[str, ...]:
    if text.dtype != np.uint8 or text.ndim != 1:
        raise ValueError("names of another type")
    return tuple(name.decode("utf-8", "surrogateescape") for name in text.tobytes().split(END)[:-1])
