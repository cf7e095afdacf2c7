"""Options of an evaluation, checked before heavy libraries are imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.suggest import nearest
from tandem.errors import ConfigError
from tandem.runs.chosen import one_run

SPLITS = ("test", "val", "train")
STORED, FIT = "stored", "fit"
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class EvaluateSettings:
    """Options of one evaluation.

    Attributes:
        run: folder of a finished run.
        split: `test`, `val` or `train`.
        threshold: `stored`, `fit` (not on test data), a number inside (0, 1), or one of these for each task by name.
        batch_size: images per batch; None: as in training.
        device: `auto`, `cpu`, `cuda` or `mps`; None: as in training.
        masks: whether to write predicted masks.
        cases: number of cases of each group in the report.
        page: whether to write the report.
        samples: number of bootstrap samples.
        seed: seed of the bootstrap.
        data: data options that differ from the run's, such as `root` if the data were moved.
        native: whether masks are evaluated at the size of their files too: `auto` where it is not the network's.
    """

    run: Path
    split: str
    threshold: Any
    batch_size: int | None
    device: str | None
    masks: bool
    cases: int
    page: bool
    samples: int
    seed: int
    data: Mapping[str, Any]
    native: bool | str = "auto"

    @property
    def folder(self) -> Path:
        """Output folder."""
        return self.run / "evaluation" / self.split


def read_settings(config: Mapping[str, Any]) -> EvaluateSettings:
    """Checks a resolved configuration.

    Args:
        config: of `conf/evaluate.yaml`.

    Raises:
        ConfigError: a value is not allowed, or a threshold would be fitted on test data.
    """
    if config["split"] not in SPLITS:
        raise ConfigError(f"split is '{config['split']}': {nearest(str(config['split']), SPLITS)}")
    if config["device"] not in (None, *DEVICES):
        raise ConfigError(f"device is '{config['device']}': {nearest(str(config['device']), DEVICES)}")
    for key, least in (("batch_size", 1), ("cases", 0), ("samples", 10), ("seed", 0)):
        if config[key] is not None and config[key] < least:
            raise ConfigError(f"{key} is {config[key]}, but must be at least {least}")
    threshold = config["threshold"]
    for value in threshold.values() if isinstance(threshold, Mapping) else (threshold,):
        _check_threshold(value, config["split"])
    native = config.get("native", "auto")
    if native not in ("auto", True, False):
        raise ConfigError(f"native is {native!r}, but must be auto, true or false")
    moved = {key: value for key, value in (config["data"] or {}).items() if value is not None}
    known = {key: config[key] for key in ("split", "threshold", "batch_size", "device", "masks", "cases", "page")}
    return EvaluateSettings(
        run=one_run(config["run"]),
        **known,
        samples=config["samples"],
        seed=config["seed"],
        data=moved,
        native=native,
    )


def _check_threshold(value: Any, split: str) -> None:
    if value == FIT and split == "test":
        raise ConfigError(
            "threshold=fit with split=test: fitting a threshold on test data makes its score optimistic; use split=val "
            "or threshold=stored"
        )
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
    if value not in (STORED, FIT) and not number:
        raise ConfigError(f"threshold is {value!r}, but must be 'stored', 'fit' or a number inside (0, 1)")
