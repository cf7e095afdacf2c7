"""One split of a run's data, and the one pass over it."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tandem.assemble import make_data
from tandem.build import build
from tandem.callbacks import ThresholdSweep
from tandem.errors import ConfigError, DataError
from tandem.evaluate.settings import Settings
from tandem.files import read_json, shortest
from tandem.restore import TrainedRun

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.samples import Samples
    from tandem.evaluate.parts import Part
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """What is evaluated.

    Attributes:
        name: `train`, `val` or `test`.
        samples: its pictures, without augmentation.
        classes: names of the classes.
        fingerprint: SHA-256 of names, pixels and targets.
        batch_size: pictures at once.
        trainer: settings of the run's trainer that can change a number.
        sweep: the run's threshold sweep, which applies thresholds here.
    """

    name: str
    samples: "Samples"
    classes: tuple[str, ...]
    fingerprint: str
    batch_size: int
    trainer: Mapping[str, Any]
    sweep: ThresholdSweep

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """(N,) which pictures belong together, such as those of one patient; one that stands alone has its own name."""
        ids = self.samples.ids
        return np.array([group or name for group, name in zip(self.samples.groups or ids, ids, strict=True)])


def read_split(run: TrainedRun, settings: Settings) -> Split:
    """Reads the run's data again and makes sure that they are those that it saw.

    Args:
        run: a finished one.
        settings: which split, and where the data are now.

    Raises:
        ConfigError: settings that the data do not know.
        DataError: data that cannot be read, or that differ from the run's.
    """
    config = run.config
    loader = {**config["loader"], "sampling": "uniform", "workers": 0}
    loader["batch_size"] = settings.batch_size or loader["batch_size"]
    source = _merged(config["data"], settings.data)
    data = make_data({**config, "augment": None, "loader": loader, "data": source})
    try:
        data.setup()
    except DataError as error:
        raise DataError(f"{error} (data that have moved are given with data.root=...)") from error
    now = data.fingerprint()
    _check_same(now, read_json(run.folder / "data.json")["fingerprint"], data.info.name)
    node = config["callbacks"].get("threshold_sweep")
    sweep = build(node, "callbacks.threshold_sweep") if node else ThresholdSweep()
    samples = data.splits[settings.split]
    trainer = {key: config["trainer"][key] for key in ("accelerator", "precision") if key in config["trainer"]}
    if settings.device is not None:
        trainer["accelerator"] = settings.device
    name = settings.split
    return Split(name, samples, data.info.classes, now[name], loader["batch_size"], trainer, sweep)


def _merged(node: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The run's settings of the data with others in their place, at any depth."""
    merged = dict(node)
    for key, value in changes.items():
        inner = node.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _check_same(now: Mapping[str, str], before: Mapping[str, str], name: str) -> None:
    """Of the splits alone: the files may have been packed or moved since."""
    changed = [split for split in ("train", "val", "test") if now.get(split) != before.get(split)]
    if changed:
        raise DataError(
            f"data '{name}' are not those that the run was trained on ({', '.join(changed)} differ), so its numbers "
            "would mean nothing; give data.root=... of the same data, or train a new run"
        )


def walk(
    module: "MultiTaskModule", split: Split, settings: Settings, folder: Path
) -> tuple[dict[str, float], "list[tuple[str, Part]]"]:
    """One pass: the run's own metrics, and a row an image in `images.csv`.

    Args:
        module: with the thresholds that are to be applied.
        split: what is evaluated.
        settings: whether masks are written.
        folder: where the files go.

    Returns:
        Metrics by logged name, and what each task has collected.

    Raises:
        ConfigError: a device that is not there.
    """
    from tandem.evaluate.collect import Collector
    from tandem.evaluate.parts import make_parts
    from tandem.evaluate.rows import RowsFile

    parts = make_parts(module, split, folder if settings.masks else None)
    columns = [f"{name}.{column}" for name, part in parts for column in part.columns]
    with RowsFile(folder / "images.csv", ["id", "class", *columns]) as rows:
        trainer = make_trainer(split, [split.sweep, Collector(dict(parts), rows, split.classes)])
        metrics = apply(trainer, module, split)
    return metrics, parts


def make_trainer(split: Split, callbacks: "list[pl.Callback]") -> "pl.Trainer":
    """Lightning's trainer, for one pass; a bar in a terminal.

    Args:
        split: what is evaluated.
        callbacks: what sees the batches.

    Raises:
        ConfigError: a device that is not there.
    """
    import sys

    import pytorch_lightning as pl
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    bar = [pl.callbacks.RichProgressBar(leave=False)] if sys.stdout.isatty() else []
    try:
        return pl.Trainer(
            **split.trainer, devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False,
            enable_progress_bar=bool(bar), callbacks=[*callbacks, *bar],
        )  # fmt: skip
    except MisconfigurationException as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"device={split.trainer.get('accelerator')} cannot be used here: {reason}") from error


def apply(trainer: "pl.Trainer", module: "MultiTaskModule", split: Split) -> dict[str, float]:
    """Every metric of the run on a split, with the thresholds of its tasks, by logged name.

    Args:
        trainer: for one pass.
        module: of the run.
        split: what is evaluated.
    """
    from tandem.data.loading import loader

    batches = loader(split.samples, split.batch_size, workers=0, seed=0, train=False)
    stage = "test" if split.name == "test" else "val"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*does not have many workers.*")  # data held in memory need none
        warnings.filterwarnings(
            "ignore", message=r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*"
        )  # Lightning's
        try:
            (found,) = (trainer.test if stage == "test" else trainer.validate)(module, batches, verbose=False)
        except SystemExit as end:
            if isinstance(end.__context__, KeyboardInterrupt):  # Lightning makes an exit of it
                raise KeyboardInterrupt from end
            raise
    return {f"{split.name}{key.removeprefix(stage)}": shortest(float(value)) for key, value in found.items()}
