"""One split of a run's data."""

import csv
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tandem.callbacks import ThresholdSweep
from tandem.config.instantiate import build
from tandem.config.places import stored_config
from tandem.data.splitting.splits import COLUMNS, read_splits
from tandem.errors import ConfigError, DataError
from tandem.evaluate.settings import EvaluateSettings
from tandem.factory import make_data
from tandem.runs.performance import used_precision
from tandem.runs.restore import TrainedRun
from tandem.utils.artifacts import DATA, SPLITS_FILE
from tandem.utils.digests import read_artifact
from tandem.utils.names import as_cell

if TYPE_CHECKING:
    from tandem.data.datamodule import DataModule
    from tandem.data.files.own_masks import FileMasks
    from tandem.data.samples import Samples
    from tandem.data.source import Source
    from tandem.evaluate.windowed import WindowedMaps

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """The split to evaluate.

    Attributes:
        name: `train`, `val` or `test`.
        samples: its images, without augmentation.
        classes: names of the classes.
        fingerprint: SHA-256 of names, pixels and targets.
        batch_size: images per batch.
        trainer: the options of the run's trainer that can affect the numbers.
        sweep: the run's threshold sweep, which applies the thresholds.
        source: the data set that the images come from, after it was loaded; None if it is not needed.
        train: the run's training images; None if they are not here.
        file_masks: the masks of each image at the size of its file, by id; empty if they are not to be evaluated.
        windowed: gives the maps of these from windows; None: from the network's square.
    """

    name: str
    samples: "Samples"
    classes: tuple[str, ...]
    fingerprint: str
    batch_size: int
    trainer: Mapping[str, Any]
    sweep: ThresholdSweep
    source: Any = None
    train: "Samples | None" = None
    file_masks: "Mapping[str, FileMasks]" = field(default_factory=dict)
    windowed: "WindowedMaps | None" = None

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """(N,) group of each image, such as its patient; an image without a group is its own group."""
        ids = self.samples.ids
        return np.array([group or name for group, name in zip(self.samples.groups or ids, ids, strict=True)])


def read_split(run: TrainedRun, settings: EvaluateSettings) -> Split:
    """Reads the run's data again, and checks that they are the data that it was trained on.

    Args:
        run: a finished run.
        settings: options of the evaluation: the split, and the changed data options.

    Raises:
        ConfigError: the source of the data has no such option.
        DataError: the data cannot be read, or differ from the run's.
    """
    data = read_data(run, settings.data)
    known = read_artifact(run.folder / DATA)["fingerprint"][settings.split]
    split = make_split(run, settings, data.splits[settings.split], data.info.classes, known)
    split = replace(split, source=data.source, train=data.splits["train"])
    return with_files(run, split, settings)


def with_files(
    run: TrainedRun,
    split: Split,
    settings: EvaluateSettings,
    match: "Callable[[Mapping[str, FileMasks]], dict[str, FileMasks]]" = dict,
) -> Split:
    """Adds the masks of files, and the windows that give maps of them, as far as they are wanted.

    Args:
        run: a finished run.
        split: with the source of its images.
        settings: options of the evaluation: `native` and `windows`.
        match: gives the masks the channels of the run; for another set, whose masks may have others.

    Raises:
        ConfigError: they are wanted, but there are none.
    """
    from tandem.evaluate.windowed import WindowedMaps

    own = match(file_masks(split.source, split.samples.ids, settings.native))
    if settings.overlap is None:
        return replace(split, file_masks=own)
    if not own:
        raise ConfigError(
            "windows are for masks at the size of the files, but these images have none of another size than the "
            "network's; leave windows out"
        )
    windowed = WindowedMaps(run, split.samples, settings.overlap)
    if not windowed.view.several:
        log.warning("windows change nothing: with data.fit=%s one window covers each image", windowed.view.fit)
    return replace(split, file_masks=own, windowed=windowed)


def read_data(run: TrainedRun, changes: Mapping[str, Any]) -> "DataModule":
    """Reads all splits of a run's data, and checks that they are the data that it was trained on.

    Args:
        run: a finished run.
        changes: data options that differ from the run's.

    Raises:
        ConfigError: the source of the data has no such option.
        DataError: the data cannot be read, or differ from the run's.
    """
    config = stored_config(run.results)
    loader = {**config["loader"], "sampling": "uniform", "workers": 0}
    with own_splits(_merged(config["data"], changes), run.folder, changes) as placed:
        data = make_data({**config, "augment": None, "loader": loader, "data": placed})
        try:
            data.setup()
        except DataError as error:
            moved = (
                "" if " with data." in str(error) else " (if the data were moved, give their folder with data.root=...)"
            )
            raise DataError(f"{error}{moved}") from error
    if data.levels and not run.levels:
        raise DataError(
            f"data '{data.info.name}' have images of more than 8 bits, which the version of tandem that trained "
            f"{run.folder} rounded to 8 bits, so its metrics would not be comparable: train it again"
        )
    _check_same(data.fingerprint(), read_artifact(run.folder / DATA)["fingerprint"], data.info.name)
    return data


def make_split(
    run: TrainedRun, settings: EvaluateSettings, samples: "Samples", classes: Sequence[str], fingerprint: str
) -> Split:
    """Prepares images for the pass.

    Args:
        run: a finished run.
        settings: options of the evaluation: split, size of batches, device.
        samples: the images.
        classes: names of their classes.
        fingerprint: of these images.
    """
    config = run.results["config"]
    node = config["callbacks"].get("threshold_sweep")
    sweep = build(node, "callbacks.threshold_sweep") if node else ThresholdSweep()
    trainer = {key: config["trainer"][key] for key in ("accelerator",) if key in config["trainer"]}
    if (precision := used_precision(run.results)) is not None:
        trainer["precision"] = precision
    if settings.device is not None:
        trainer["accelerator"] = settings.device
    batch_size = settings.batch_size or config["loader"]["batch_size"]
    return Split(settings.split, samples, tuple(classes), fingerprint, batch_size, trainer, sweep)


def file_masks(source: "Source", ids: Sequence[str], native: bool | str) -> "dict[str, FileMasks]":
    """The masks of images at the size of their files, if they are to be evaluated.

    Args:
        source: the data, after they were read.
        ids: the images of the split.
        native: the option: `auto` evaluates them where a file has another size than the network's square.

    Raises:
        ConfigError: it is true, and the data have no masks in files.
    """
    known = getattr(source, "file_masks", {})
    found = {name: known[name] for name in ids if name in known}
    if native is True and not found:
        raise ConfigError(f"native=true, but data '{source.name}' have no masks in files: set native=auto")
    return found if native is True or (native and any(file.resized for file in found.values())) else {}


@contextmanager
def own_splits(node: Mapping[str, Any], folder: Path, changes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Inside, each `split_file` of a run's data is the run's own list of its splits: the given file may be gone.

    Args:
        node: `data` of the run's configuration, with changes applied.
        folder: the run's folder.
        changes: data options that the person has given; a `split_file` among them stays.
    """
    kept = folder / SPLITS_FILE
    if not kept.is_file():
        yield dict(node)
        return
    sources = node.get("sources")
    if not isinstance(sources, Mapping):
        own = node.get("split_file") is not None and "split_file" not in changes
        yield {**node, "split_file": str(kept)} if own else dict(node)
        return
    with tempfile.TemporaryDirectory() as place:
        placed = {}
        for name, source in sources.items():
            placed[name] = dict(source)
            if source.get("split_file") is not None:
                rows = {row: split for row, split in read_splits(kept).items() if row.startswith(f"{name}/")}
                lines = [(as_cell(row.removeprefix(f"{name}/")), split) for row, split in rows.items()]
                placed[name]["split_file"] = str(Path(place) / f"{len(placed)}.csv")
                with Path(placed[name]["split_file"]).open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows([COLUMNS[:2], *lines])
        yield {**node, "sources": placed}


def _merged(node: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The data options of the run with changes applied, at any depth."""
    merged = dict(node)
    for key, value in changes.items():
        inner = node.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _check_same(now: Mapping[str, str], before: Mapping[str, str], name: str) -> None:
    """Compares the fingerprints of the splits only, since the files may have been packed or moved since."""
    changed = [split for split in ("train", "val", "test") if now.get(split) != before.get(split)]
    if changed:
        raise DataError(
            f"data '{name}' are not the data that the run was trained on ({', '.join(changed)} differ), so its metrics "
            "would not be comparable; set data.root=... to the same data, or train a new run"
        )
