"""What every tracker is given beside the logged metrics: notes while a run trains, a summary at its end."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tandem.config import flatten

if TYPE_CHECKING:
    import pytorch_lightning as pl

NOT_SETTINGS = ("callbacks", "logger", "runs")
"""Parts of the configuration that say nothing of what was trained."""


def log_numbers(trainer: "pl.Trainer", numbers: Mapping[str, float]) -> None:
    """Gives each tracker numbers that are no metrics of the run, and so are in none of its tables.

    Args:
        trainer: with its loggers.
        numbers: by name.
    """
    for logger in trainer.loggers:
        logger.log_metrics(dict(numbers), trainer.global_step)


def log_text(trainer: "pl.Trainer", name: str, text: str) -> None:
    """Gives a text to each tracker that can show one.

    Args:
        trainer: with its loggers.
        name: of the text.
        text: a line.
    """
    from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(name, text, trainer.global_step)
        elif isinstance(logger, WandbLogger):
            logger.log_text(name, columns=["text"], data=[[text]])


def log_summary(trainer: "pl.Trainer", config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Gives each tracker the settings and the best checkpoint's numbers.

    Args:
        trainer: with its loggers.
        config: the resolved configuration.
        metrics: of the best checkpoint, by logged name.
    """
    from pytorch_lightning.loggers import TensorBoardLogger

    settings = flatten({key: config[key] for key in config if key not in NOT_SETTINGS})
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(settings, dict(metrics))
        else:
            logger.log_hyperparams(settings)
            logger.log_metrics({f"best/{key}": value for key, value in metrics.items()})


def finish(trainer: "pl.Trainer", failed: bool = False) -> None:
    """Ends each tracker's run, without which the jobs of a sweep would all be one run to wandb.

    Args:
        trainer: with its loggers.
        failed: whether the run ended before it had results.
    """
    from pytorch_lightning.loggers import WandbLogger

    for logger in trainer.loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish(exit_code=int(failed))
