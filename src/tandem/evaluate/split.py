"""One split of a run's data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tandem.callbacks import ThresholdSweep
from tandem.config.instantiate import build
from tandem.errors import DataError
from tandem.evaluate.settings import EvaluateSettings
from tandem.factory import make_data
from tandem.runs.restore import TrainedRun
from tandem.utils.artifacts import DATA
from tandem.utils.digests import read_artifact

if TYPE_CHECKING:
    from tandem.data.samples import Samples


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
    config = run.config
    loader = {**config["loader"], "sampling": "uniform", "workers": 0}
    loader["batch_size"] = settings.batch_size or loader["batch_size"]
    source = _merged(config["data"], settings.data)
    data = make_data({**config, "augment": None, "loader": loader, "data": source})
    try:
        data.setup()
    except DataError as error:
        raise DataError(f"{error} (if the data were moved, give their folder with data.root=...)") from error
    now = data.fingerprint()
    _check_same(now, read_artifact(run.folder / DATA)["fingerprint"], data.info.name)
    node = config["callbacks"].get("threshold_sweep")
    sweep = build(node, "callbacks.threshold_sweep") if node else ThresholdSweep()
    samples = data.splits[settings.split]
    trainer = {key: config["trainer"][key] for key in ("accelerator", "precision") if key in config["trainer"]}
    if settings.device is not None:
        trainer["accelerator"] = settings.device
    name = settings.split
    return Split(name, samples, data.info.classes, now[name], loader["batch_size"], trainer, sweep)


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
