"""Writes a data set as shards, which appear as a whole or not at all."""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tandem.data.batch import MISSING_PIXEL
from tandem.data.files.cache import digest
from tandem.data.files.placement import fit_of
from tandem.data.loading.storage import rows_at_once
from tandem.data.samples import Samples
from tandem.data.shards.index import INDEX
from tandem.data.shards.layout import LARGEST, Layout
from tandem.data.shards.manifest import IMAGE, MANIFEST, MASK, Manifest
from tandem.data.shards.row_loader import NO_LIMIT
from tandem.data.shards.rows import write_rows
from tandem.data.targets import Targets
from tandem.errors import ConfigError, DataError
from tandem.utils.files import read_json, write_json
from tandem.utils.locks import Locked, NoLocks, holding
from tandem.utils.optional import load
from tandem.utils.outputs import check_folder

if TYPE_CHECKING:
    from tandem.data.datamodule import DataModule

log = logging.getLogger(__name__)

SEED = 0
"""Of the order in which training rows lie in the shards: each shard is a random sample of them."""

PART = ".part"


def write_shards(data: "DataModule", node: Mapping[str, Any], out: Path, shard_mb: float) -> Manifest:
    """Writes all splits of a data set.

    Args:
        data: after `setup`.
        node: `data` of the configuration.
        out: folder that is written; it must not be there yet, or be empty.
        shard_mb: most megabytes (1e6 bytes) of a shard that has more than one row.

    Raises:
        ConfigError: the folder is not empty, the disk is too small, LitData is not installed, or the size of the shards
            is out of range.
        DataError: an id cannot be written.
    """
    check_out(out, shard_mb)
    made = _manifest(data, node)
    _check_room(out, sum(made.layout(split).row * rows for split, rows in made.rows.items()))
    with _new_folder(out) as folder:
        for split, samples in data.splits.items():
            _write_split(folder / split, samples, made.layout(split), int(1e6 * shard_mb))
        made = replace(made, files=_digests(folder))
        write_json(folder / MANIFEST, made.to_json() | {"litdata": version("litdata"), "tandem": version("tandem-mtl")})
    return made


def check_out(out: Path, shard_mb: float) -> None:
    """Refuses what cannot be written, before data are read.

    Raises:
        ConfigError: see `write_shards`.
    """
    load("litdata", "streamed", "writing shards")
    if not 0 < shard_mb <= LARGEST / 1e6:
        raise ConfigError(f"shard_mb is {shard_mb:g}, but must be a number of MB above 0, at most {LARGEST // 10**6}")
    if check_folder(out).is_dir() and any(out.iterdir()):
        raise ConfigError(f"out={out} exists and is not an empty folder: remove it, or choose another one")


def _manifest(data: "DataModule", node: Mapping[str, Any]) -> Manifest:
    info, train = data.info, data.splits["train"]
    if train.whole is not None:
        raise ConfigError(
            "data.crop=random draws squares of whole images, which shards do not hold: set data.crop=centre"
        )
    if different := [split for split, part in data.splits.items() if part.images.shape[2:] != train.images.shape[2:]]:
        raise DataError(f"images of {different[0]} have another size than those of train: give all the same data.size")
    height, width = train.images.shape[2:]
    first: Mapping[str, Any] = next(iter((node.get("sources") or {}).values()), {})
    return Manifest(
        name=info.name,
        classes=info.classes,
        channels=info.channels,
        targets=getattr(data.source, "targets", Targets()),
        size=(int(height), int(width)),
        dtypes={split: str(part.images.dtype).removeprefix("torch.") for split, part in data.splits.items()},
        rows={split: len(part) for split, part in data.splits.items()},
        fit=fit_of(node),
        background=node.get("background", first.get("background")) or "black",
        window=node.get("window", first.get("window")),
        levels=data.levels,
        shares=None if data.source_shares is None else tuple(data.source_shares),
        allow_overlap=bool(getattr(data.source, "allow_overlap", False)),
        notes=data.notes,
        written_from={"source": node.get("_target_"), "fingerprint": data.fingerprint()},
    )


def _check_room(out: Path, size: int) -> None:
    """Refuses a disk that is too small, before anything is written."""
    above = next(folder for folder in out.absolute().parents if folder.is_dir())
    if (free := shutil.disk_usage(above).free) < size:
        raise ConfigError(f"out={out} needs {size / 1e9:.3g} GB, but {free / 1e9:.3g} GB are free: choose another disk")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Gives a folder beside `out` that becomes it at the end. What a killed process has left is removed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        for left in out.parent.glob(f".{out.name}.*{PART}"):
            shutil.rmtree(left)
        with TemporaryDirectory(prefix=f".{out.name}.", suffix=PART, dir=out.parent) as place:
            folder = Path(place) / "shards"
            folder.mkdir()
            yield folder
            if out.is_dir():
                out.rmdir()  # empty
            folder.rename(out)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keeps other processes from writing the same folder; on a disk without locks, nothing does."""
    lock = out.with_name(f".{out.name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(holding(lock, patience=0.0))
        except Locked:
            raise ConfigError(f"out={out} is being written by another process: wait for it") from None
        except NoLocks:
            log.debug("%s has no locks", out.parent)
        stack.callback(lock.unlink, missing_ok=True)
        yield


def _write_split(folder: Path, samples: Samples, layout: Layout, size: int) -> None:
    """Writes one split; rows of training lie in random order, so that each shard is a sample of them."""
    count = len(samples)
    order = np.arange(count)
    if folder.name == "train":
        order = torch.randperm(count, generator=torch.Generator().manual_seed(SEED)).numpy()
    rows = layout.rows_in(min(size, LARGEST))
    number = -(-count // rows)
    log.info("%s: %d images into %d shard%s", folder.name, count, number, "s" * (number > 1))
    cache = load("litdata.streaming", "streamed", "writing shards").Cache
    shards, unknown, done = cache(str(folder), chunk_size=rows, max_cache_size=NO_LIMIT), np.zeros(count, np.bool_), 0
    step = rows_at_once((layout.row,))
    for start in range(0, count, step):
        part = torch.from_numpy(order[start : start + step])
        images, masks = samples.images[part], samples.masks[part]
        if MASK in layout.fields:
            unknown[part.numpy()] = (masks == MISSING_PIXEL).flatten(1).all(1).numpy()
        for image, mask in zip(images, masks, strict=True):
            shards[done] = {name: {IMAGE: image, MASK: mask}[name] for name in layout.fields}
            done += 1
    shards.done()
    shards.merge()
    _without_time(folder)
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    write_rows(folder, samples, place, unknown)


def _without_time(folder: Path) -> None:
    """Writes the index again: what LitData takes for its version follows from the shards, not from the time."""
    index = read_json(folder / INDEX)
    digests = b"".join(digest(folder / chunk["filename"], chunk["filename"]) for chunk in index["chunks"])
    write_json(folder / INDEX, index | {"updated_at": hashlib.sha256(digests).hexdigest()[:16]})


def _digests(folder: Path) -> dict[str, tuple[int, str]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: (path.stat().st_size, digest(path, name).hex()) for name, path in named.items()}
