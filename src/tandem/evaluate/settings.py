"""Options of an evaluation, checked before heavy libraries are imported."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.config.suggest import nearest
from tandem.decisions.asked import STORED, Asked, read_asked
from tandem.decisions.wanted import check_threshold, read_threshold
from tandem.errors import ConfigError
from tandem.evaluate.external.options import OtherData, read_other
from tandem.evaluate.groups.options import Grouping, read_by
from tandem.runs.chosen import one_run
from tandem.runs.overlap import NONE, read_windows

SPLITS = ("test", "val", "train")
FIT = "fit"
OF_FLIPS = "-flips"
"""End of the name of a folder of an evaluation with mirrored copies, which is none of the run as it was trained."""

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class EvaluateSettings:
    """Options of one evaluation.

    Attributes:
        run: folder of a finished run.
        split: `test`, `val` or `train`.
        threshold: `stored`, `fit` (not on test data), a number inside (0, 1), what it must reach on validation data, or
            one of these for each task by name.
        decide: what to decide beside the threshold; None: as the checkpoint says.
        batch_size: images per batch; None: as in training.
        device: `auto`, `cpu`, `cuda` or `mps`; None: as in training.
        masks: whether to write predicted masks.
        cases: number of cases of each group in the report.
        page: whether to write the report.
        samples: number of bootstrap samples.
        seed: seed of the bootstrap.
        data: data options that differ from the run's, such as `root` if the data were moved.
        other: another set to test on; None: the run's own data.
        by: columns by which images are grouped.
        table: a table with these columns; None: the data's own.
        decide: how masks are decided; None: as the run says.
        native: whether masks are evaluated at the size of their files too: `auto` where it is not the network's.
        overlap: of windows that pass over the files for this; None: there are none.
        flips: whether probabilities are averaged over each image and its mirrored copies.
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
    other: OtherData | None = None
    by: tuple[Grouping, ...] = ()
    table: str | None = None
    decide: Asked | None = None
    native: bool | str = "auto"
    overlap: float | None = None
    flips: bool = False

    @property
    def folder(self) -> Path:
        """Output folder."""
        return self.run / "evaluation" / f"{self.other.folder if self.other else self.split}{OF_FLIPS * self.flips}"

    @property
    def where(self) -> str:
        """What is evaluated, in words."""
        return self.other.label if self.other else self.split


def read_settings(config: Mapping[str, Any], typed: Collection[str] = ()) -> EvaluateSettings:
    """Checks a resolved configuration.

    Args:
        config: of `conf/evaluate.yaml`.
        typed: dotted keys that were typed.

    Raises:
        ConfigError: a value is not allowed, or a threshold would be fitted on test data.
    """
    other = read_other(config, typed)
    if other:  # its images are a test, whatever its source calls them
        config = {**config, "split": "test" if config["split"] in SPLITS else config["split"]}
    config = {**config, "split": config["split"] or "test"}
    if config["split"] not in SPLITS:
        raise ConfigError(f"split is '{config['split']}': {nearest(str(config['split']), SPLITS)}")
    if config["device"] not in (None, *DEVICES):
        raise ConfigError(f"device is '{config['device']}': {nearest(str(config['device']), DEVICES)}")
    for key, least in (("batch_size", 1), ("cases", 0), ("samples", 10), ("seed", 0)):
        if config[key] is not None and config[key] < least:
            raise ConfigError(f"{key} is {config[key]}, but must be at least {least}")
    threshold = read_threshold(config["threshold"])
    decide = read_asked(config.get("decide", STORED))
    check_threshold(threshold, (STORED, FIT))
    for value in threshold.values() if isinstance(threshold, Mapping) else (threshold,):
        _check_fit(value, config["split"])
        if value == FIT and decide is not None and decide.fitted:
            raise ConfigError(
                "threshold=fit with decide=...: what is fitted on validation data must not follow a threshold of "
                "another split; leave threshold=fit out, or give a number"
            )
    native = config.get("native", "auto")
    if native not in ("auto", True, False):
        raise ConfigError(f"native is {native!r}, but must be auto, true or false")
    overlap = read_windows(config.get("windows", NONE))
    if overlap is not None and native is False:
        raise ConfigError(
            "windows are for masks at the size of the files, which native=false leaves out; leave native=auto"
        )
    flips = bool(config.get("flips", False))
    if flips and overlap is not None:
        raise ConfigError("flips=true and windows do not work together; leave one of them out")
    given = {} if other else config["data"] or {}
    moved = {key: value for key, value in given.items() if value is not None}
    known = {key: config[key] for key in ("split", "batch_size", "device", "masks", "cases", "page", "samples", "seed")}
    return EvaluateSettings(
        run=one_run(config["run"]),
        threshold=threshold,
        data=moved,
        decide=decide,
        other=other,
        by=read_by(config),
        table=config.get("table"),
        native=native,
        overlap=overlap,
        flips=flips,
        **known,
    )


def _check_fit(value: Any, split: str) -> None:
    if value == FIT and split == "test":
        raise ConfigError(
            "threshold=fit with split=test: fitting a threshold on test data makes its score optimistic; use split=val "
            "or threshold=stored"
        )
