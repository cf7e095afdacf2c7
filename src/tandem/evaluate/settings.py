"""What is asked of an evaluation, checked before anything heavy is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.suggest import nearest
from tandem.errors import ConfigError

SPLITS = ("test", "val", "train")
STORED, FIT = "stored", "fit"
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class EvaluateSettings:
    """One evaluation.

    Attributes:
        run: folder of a finished run.
        split: `test`, `val` or `train`.
        threshold: `stored`, `fit` (not on test data), a number inside (0, 1), or one of these for each task by name.
        batch_size: pictures at once; None: as in training.
        device: `auto`, `cpu`, `cuda` or `mps`; None: as in training.
        masks: whether predicted masks are written.
        cases: pictures of a kind that the page shows.
        page: whether the page is written.
        samples: of the bootstrap.
        seed: of the bootstrap.
        data: settings of the data that differ from the run's, such as `root` where they have moved.
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

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return self.run / "evaluation" / self.split


def read_settings(config: Mapping[str, Any]) -> EvaluateSettings:
    """Checks a resolved configuration.

    Args:
        config: of `conf/evaluate.yaml`.

    Raises:
        ConfigError: a value that cannot work; fitting a threshold on test data is one.
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
    moved = {key: value for key, value in (config["data"] or {}).items() if value is not None}
    known = {key: config[key] for key in ("split", "threshold", "batch_size", "device", "masks", "cases", "page")}
    return EvaluateSettings(
        run=Path(config["run"]).expanduser(), **known, samples=config["samples"], seed=config["seed"], data=moved
    )


def _check_threshold(value: Any, split: str) -> None:
    if value == FIT and split == "test":
        raise ConfigError(
            "threshold=fit with split=test: fitting a threshold on test is an error, since Dice would then be "
            "optimistic; choose it on split=val, or take threshold=stored"
        )
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
    if value not in (STORED, FIT) and not number:
        raise ConfigError(f"threshold is {value!r}, but must be 'stored', 'fit' or a number inside (0, 1)")
