"""Reads another data set with the preprocessing of a run."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tandem.config.instantiate import build, resolve_target
from tandem.config.slots import slot_at
from tandem.data.checks import check_samples
from tandem.data.datamodule import DataInfo, DataModule
from tandem.data.files.raster import BYTE
from tandem.data.samples import SPLITS, Samples, join_samples
from tandem.data.splitting.split_spec import Rows, SplitSpec
from tandem.errors import ConfigError, DataError
from tandem.evaluate.external.options import OtherData

if TYPE_CHECKING:
    from tandem.runs.restore import TrainedRun

log = logging.getLogger(__name__)

KEPT = ("size", "fit", "background", "window")
"""Options of a source that say how a file becomes an image; those of the run are kept."""

SIXTEEN_BITS = (0.0, 65535.0)
"""Black and white of 16-bit images for a run that has seen none, as in `predict`."""


@dataclass(frozen=True)
class Whole(SplitSpec):
    """Leaves a data set in one piece."""

    def rows(self, ids: Sequence[str], *_: Any, **__: Any) -> Rows:
        """All rows, under the name of the split that sources need."""
        return {"train": np.arange(len(ids))}


@dataclass(frozen=True)
class OtherSet:
    """Another data set that was read.

    Attributes:
        samples: its images, at the run's size and grey levels, with their own targets.
        info: what they are.
        source: where they come from, after it was loaded.
        remarks: lines that a reader of the results needs.
    """

    samples: Samples
    info: DataInfo
    source: Any
    remarks: tuple[str, ...]


def read_set(run: "TrainedRun", other: OtherData) -> OtherSet:
    """Reads the images of another data set as the run saw its own.

    Args:
        run: a finished run.
        other: the data set.

    Raises:
        ConfigError: an option of its source is wrong, or typed against the run's.
        DataError: it cannot be read, or its images have another size, depth or number of channels.
    """
    source: Any = build(_as_trained(other.node, run, other.typed), "data")
    inner: Mapping[str, Any] = getattr(source, "sources", {"": source})
    for one in inner.values():
        if other.split is None and isinstance(getattr(one, "division", None), SplitSpec):
            one.division = Whole()
    data = DataModule(source, None, batch_size=1, workers=0, seed=0)
    info = data.info
    if info.channels != run.info.channels:
        raise DataError(
            f"data '{info.name}' have {info.channels} channels, but the run takes {run.info.channels}; give the same "
            "images with as many"
        )
    splits = source.load()
    wanted = SPLITS if other.split is None else (other.split,)
    parts = [splits[split] for split in wanted if split in splits and len(splits[split])]
    if not parts:
        raise DataError(f"data '{info.name}' have no images in {' and '.join(wanted)}")
    samples = parts[0] if len(parts) == 1 else join_samples(parts)
    check_samples(info.name, "test", samples, info.classes, info)
    _check_size(samples, run, info.name)
    samples, remarks = _with_levels(samples, run, other, info.name)
    if data.skipped:
        remarks.append(f"{len(data.skipped)} faults of the other set were skipped, the first: {data.skipped[0]}")
    return OtherSet(samples, info, source, tuple(remarks))


def _as_trained(node: Mapping[str, Any], run: "TrainedRun", typed: Any, where: str = "data") -> dict[str, Any]:
    """The options of a source with the run's preprocessing."""
    if isinstance(sources := node.get("sources"), Mapping):
        inner = {key: _as_trained(one, run, typed, f"{where}.sources.{key}") for key, one in sources.items()}
        node = {**node, "sources": inner}
    own = run.config["data"]
    first: Mapping[str, Any] = next(iter((own.get("sources") or {}).values()), {})
    kept = {key: own.get(key, first.get(key)) for key in KEPT if key in own or key in first}
    kept["channels"] = run.info.channels
    takes = inspect.signature(resolve_target(node["_target_"], where, slot_at("data"))).parameters
    changed = {key: value for key, value in kept.items() if key in takes}
    for key, value in changed.items():
        if f"{where}.{key}" in typed and node.get(key) != value:
            raise ConfigError(
                f"{where}.{key} is {node.get(key)}, but images are prepared as in the run's training, with {value}; "
                "leave it out"
            )
    if changed:
        log.info("as in training: %s", ", ".join(f"{where}.{key}={value}" for key, value in changed.items()))
    return {**node, **changed}


def _check_size(samples: Samples, run: "TrainedRun", name: str) -> None:
    size = run.config["data"].get("size")
    found = tuple(samples.images.shape[2:])
    if isinstance(size, int) and found != (size, size):
        raise DataError(f"data '{name}' have images of {found[0]}x{found[1]}, but the run takes {size}x{size}")


def _with_levels(samples: Samples, run: "TrainedRun", other: OtherData, name: str) -> tuple[Samples, list[str]]:
    """Images of more than 8 bits with the training images' black and white, unless `data.grey_range` was typed."""
    if samples.levels is None or "data.grey_range" in other.typed:
        return samples, []
    deep = (samples.levels != torch.tensor(BYTE)).any(1)
    remarks: list[str] = []
    if len(run.levels) == 1:
        ends = run.levels[0]
    elif not run.levels and samples.images.dtype == torch.uint16:
        ends = SIXTEEN_BITS
        remarks.append(
            f"{int(deep.sum())} images have more than 8 bits, but the training images had 8: 0 is read as black and "
            "65535 as white; if that is wrong, set data.grey_range=[low,high]"
        )
    else:
        pairs = ", ".join(f"[{low:g},{high:g}]" for low, high in run.levels) or "none"
        raise DataError(
            f"data '{name}' have images of more than 8 bits, for which the run has no black and white of its own "
            f"({pairs}): set data.grey_range=[low,high]"
        )
    levels = torch.where(deep[:, None], torch.tensor(ends, dtype=torch.float32), samples.levels)
    return replace(samples, levels=levels), remarks
