"""The single pass over a split."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.errors import ConfigError
from tandem.evaluate.settings import EvaluateSettings
from tandem.evaluate.split import Split
from tandem.utils.files import shortest
from tandem.utils.signals import interruption

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.evaluate.evaluators import Evaluator
    from tandem.module import MultiTaskModule


def run_split(
    module: "MultiTaskModule", split: Split, settings: EvaluateSettings, folder: Path
) -> tuple[dict[str, float], "list[tuple[str, Evaluator]]"]:
    """Computes the run's own metrics, and writes one row per image to `images.csv`, in one pass.

    Args:
        module: the trained module, with the thresholds to apply.
        split: the split to evaluate.
        settings: options of the evaluation, such as whether to write masks.
        folder: output folder.

    Returns:
        Metrics by logged name, and the evaluator of each task with the data that it has collected.

    Raises:
        ConfigError: the device is not available.
    """
    from tandem.evaluate.collect import Collector
    from tandem.evaluate.evaluators import make_evaluators
    from tandem.evaluate.rows import RowsFile

    parts = make_evaluators(module, split, folder if settings.masks else None)
    columns = [f"{name}.{column}" for name, part in parts for column in part.all_columns]
    with RowsFile(folder / "images.csv", ["id", "class", *columns]) as rows:
        trainer = make_trainer(split, [split.sweep, Collector(dict(parts), rows, split.classes)])
        metrics = apply(trainer, module, split)
    return metrics, parts


def make_trainer(split: Split, callbacks: "list[pl.Callback]") -> "pl.Trainer":
    """Builds Lightning's trainer for one pass, with a progress bar in a terminal.

    Args:
        split: the split to evaluate.
        callbacks: callbacks that receive the batches.

    Raises:
        ConfigError: the device is not available.
    """
    import pytorch_lightning as pl
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from tandem.callbacks import Progress

    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    try:
        return pl.Trainer(
            **split.trainer, devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False,
            callbacks=[*callbacks, Progress()], plugins=[LightningEnvironment()],  # one process, also under Slurm
        )  # fmt: skip
    except MisconfigurationException as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"device={split.trainer.get('accelerator')} is not available: {reason}") from error


def apply(trainer: "pl.Trainer", module: "MultiTaskModule", split: Split) -> dict[str, float]:
    """Computes every metric of the run on a split at the thresholds of its tasks; keys are logged names.

    Args:
        trainer: see `make_trainer`.
        module: module of the run.
        split: the split to evaluate.
    """
    from tandem.data.loading.loading import loader

    batches = loader(split.samples, split.batch_size, workers=0, seed=0, train=False)
    stage = "test" if split.name == "test" else "val"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*does not have many workers.*")  # data in memory need no workers
        warnings.filterwarnings(
            "ignore", message=r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*"
        )  # raised inside Lightning
        try:
            (found,) = (trainer.test if stage == "test" else trainer.validate)(module, batches, verbose=False)
        except SystemExit as end:
            raise interruption(end) or end from None
    return {f"{split.name}{key.removeprefix(stage)}": shortest(float(value)) for key, value in found.items()}
