"""The results of a finished run: the metrics of the best checkpoint on validation and test data, and their origin."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.config.places import STORED, absolute_paths
from tandem.metrics.stored import as_stored
from tandem.runs.provenance import environment
from tandem.train.quantities import run_quantities
from tandem.utils.artifacts import BEST, SCHEMA
from tandem.utils.digests import check_intact
from tandem.utils.files import shortest

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule


def evaluate_best(
    trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule", folder: Path
) -> dict[str, float]:
    """Evaluates the best checkpoint on validation and test data, with the thresholds of the checkpoint.

    Args:
        trainer: the trainer of the run.
        module: the module; it gets the checkpoint's weights and thresholds.
        data: the data module with both splits.
        folder: the run's folder, with the checkpoint.
    """
    found: dict[str, float] = {}
    place = str(folder / BEST)
    with _without_loggers(trainer):
        for evaluate in (trainer.validate, trainer.test):
            for values in evaluate(module, datamodule=data, ckpt_path=place, weights_only=True, verbose=False):
                found |= {key: shortest(float(value)) for key, value in values.items()}
    return found


@contextlib.contextmanager
def _without_loggers(trainer: "pl.Trainer") -> Iterator[None]:
    """Removes the loggers: curves end with training, and the best checkpoint's metrics are logged as a summary."""
    loggers, trainer.loggers = trainer.loggers, []
    try:
        yield
    finally:
        trainer.loggers = loggers


def collect_results(
    config: Mapping[str, Any],
    trainer: "pl.Trainer",
    module: "MultiTaskModule",
    metrics: Mapping[str, float],
    known: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Collects the content of `results.json`, except the duration.

    Args:
        config: the resolved configuration.
        trainer: the trainer after the evaluation of the best checkpoint.
        module: the module with the best checkpoint's thresholds.
        metrics: the metrics by logged name.
        known: facts from before training, when all files were present: the run's hash, the pretrained weights, and
            the data's name, fingerprint and number of skipped rows.
        folder: the run's folder, with the best checkpoint.
    """
    import torch

    from tandem.callbacks import CollapseWatch, Confusion, ThresholdSweep

    check_intact(folder / BEST)
    best = torch.load(folder / BEST, weights_only=True, map_location="cpu")
    sweeps = [callback for callback in trainer.callbacks if isinstance(callback, ThresholdSweep)]  # type: ignore[attr-defined]
    watches = [callback for callback in trainer.callbacks if isinstance(callback, CollapseWatch)]  # type: ignore[attr-defined]
    counted = [callback for callback in trainer.callbacks if isinstance(callback, Confusion)]  # type: ignore[attr-defined]
    spaced = getattr(trainer.datamodule, "spaced", False)  # type: ignore[attr-defined]
    quantities = run_quantities(metrics, module.tasks, config, spaced)
    decided = {name: task for name, task in module.tasks.items() if task.target_kind.thresholds}
    return {
        "schema": SCHEMA,
        "name": config["name"],
        "seed": config["seed"],
        "monitor": config["monitor"],
        "mode": config["mode"],
        "best_epoch": best["epoch"],
        "epochs": trainer.current_epoch,
        "metrics": dict(metrics),
        "quantities": {key: as_stored(one) for key, one in quantities.items()},
        "thresholds": {name: [shortest(value) for value in task.threshold.tolist()] for name, task in decided.items()},
        "warnings": [warning for watch in watches for warning in watch.warnings],
        "curves": {prefix: curve for sweep in sweeps for prefix, curve in sweep.curves.items()},
        "confusion": {place: matrix for counts in counted for place, matrix in counts.matrices.items()},
        **known,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        **environment(),
        STORED: absolute_paths(config),
        "config": dict(config),
    }
