"""Trains one network on all tasks, evaluates the best checkpoint, leaves results."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from tandem.assemble import make_data, make_module, make_trainer
from tandem.config import resolve, run_hash
from tandem.errors import ConfigError
from tandem.files import read_json, shortest, write_json, write_text

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)

RESULTS = "results.json"
BEST = "best.ckpt"
LAST = "last.ckpt"


def main() -> None:
    """The command `tandem-train`."""
    from tandem.cli import run

    run(train_job, "train")


def train_job(config: DictConfig, folder: Path) -> float | None:
    """One job: trains unless it is done, shows the table, gives the monitored value of the best checkpoint.

    Args:
        config: the composed configuration.
        folder: the run's folder.
    """
    from tandem.reports.table import print_results

    plain = resolve(config)
    finished = folder / RESULTS
    if finished.exists():
        log.info("already finished, answered from %s", finished)
        results = read_json(finished)
    else:
        results = train(plain, folder)
    print_results(results, folder)
    value = results["metrics"].get(plain["monitor"])
    return None if value is None else float(value)


def train(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Trains, or goes on where a run was cut, and writes `results.json`, the report and the checkpoints.

    Args:
        config: the resolved configuration as plain containers.
        folder: the run's folder.

    Returns:
        What is in `results.json`.

    Raises:
        ConfigError: parts that do not fit together.
        DataError: data that cannot be used, or that changed since the run began.
    """
    _check_config(config)
    _quieten()
    import pytorch_lightning as pl

    from tandem.record import keep_data
    from tandem.reports.run_report import write_report

    started = time.time()
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = make_data(config)
    module = make_module(config, data)
    trainer = make_trainer(config, folder)
    data.setup()
    fingerprint = keep_data(data, folder)
    write_config(config, folder)

    _announce(data, module, trainer)
    try:
        _fit(trainer, module, data, folder)
        metrics = _evaluate_best(trainer, module, data, folder)
        results = _results(config, trainer, module, metrics, fingerprint, folder, time.time() - started)
        _log_summary(trainer, config, metrics)
    finally:
        _finish_loggers(trainer)
    write_json(folder / RESULTS, results)
    write_report(folder)
    return results


def _fit(trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule", folder: Path) -> None:
    last = folder / LAST
    if last.exists():
        log.info("going on from %s", last)
    trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)


def _announce(data: "DataModule", module: "MultiTaskModule", trainer: "pl.Trainer") -> None:
    """Says what is about to be trained on what, so that a wrong split or task is seen before it costs a night."""
    from tandem.data.samples import describe_split

    for split, samples in data.splits.items():
        log.info("data %s, %s", data.info.name, describe_split(split, samples, data.info.classes))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    device = trainer.strategy.root_device
    log.info("tasks %s; %s parameters; on %s", ", ".join(module.tasks), f"{parameters:,}", device)


def write_config(config: Mapping[str, Any], folder: Path) -> None:
    """Keeps the resolved configuration as `config.yaml`."""
    from omegaconf import OmegaConf

    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(config))))


def _check_config(config: Mapping[str, Any]) -> None:
    if config["mode"] not in ("min", "max"):
        raise ConfigError(f"mode is '{config['mode']}', but must be 'min' or 'max'")
    stage, _, rest = config["monitor"].partition("/")
    if stage != "val":
        raise ConfigError(f"monitor is '{config['monitor']}'; the best epoch is chosen on validation data, so val/...")
    task = rest.split("/")[0]
    if "/" in rest and task not in config["tasks"]:
        raise ConfigError(
            f"monitor is '{config['monitor']}', but there is no task '{task}': {', '.join(config['tasks'])}"
        )


def _quieten() -> None:
    """Hides advice of libraries that does not apply here; errors and our own warnings stay."""
    import warnings

    for message in (
        r".*does not have many workers.*",  # data held in memory needs none
        r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run's own folder
        r".*The number of training batches .* is smaller than the logging interval.*",
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",  # Lightning's own
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)


def _evaluate_best(
    trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule", folder: Path
) -> dict[str, float]:
    """Every number of the best checkpoint on validation and test data; thresholds come from the checkpoint."""
    best = str(folder / BEST)
    found: dict[str, float] = {}
    for evaluate in (trainer.validate, trainer.test):
        for values in evaluate(module, datamodule=data, ckpt_path=best, weights_only=True, verbose=False):
            found |= {key: shortest(float(value)) for key, value in values.items()}
    return found


def _results(
    config: Mapping[str, Any],
    trainer: "pl.Trainer",
    module: "MultiTaskModule",
    metrics: Mapping[str, float],
    fingerprint: Mapping[str, str],
    folder: Path,
    seconds: float,
) -> dict[str, Any]:
    import torch

    from tandem.callbacks import ThresholdSweep
    from tandem.record import environment

    best = torch.load(folder / BEST, weights_only=True, map_location="cpu")
    sweeps = [callback for callback in trainer.callbacks if isinstance(callback, ThresholdSweep)]  # type: ignore[attr-defined]
    binary = {name: task for name, task in module.tasks.items() if task.kind == "binary"}
    return {
        "name": config["name"],
        "hash": run_hash(config),
        "seed": config["seed"],
        "monitor": config["monitor"],
        "mode": config["mode"],
        "best_epoch": best["epoch"],
        "epochs": trainer.current_epoch,
        "metrics": dict(metrics),
        "thresholds": {name: [shortest(value) for value in task.threshold.tolist()] for name, task in binary.items()},
        "curves": {prefix: curve for sweep in sweeps for prefix, curve in sweep.curves.items()},
        "data": {"fingerprint": dict(fingerprint)},
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "seconds": round(seconds, 1),
        **environment(),
        "config": dict(config),
    }


def _finish_loggers(trainer: "pl.Trainer") -> None:
    """Ends each tracker's run, without which the jobs of a sweep would all be one run to wandb."""
    from pytorch_lightning.loggers import WandbLogger

    for logger in trainer.loggers:
        logger.finalize("success")
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def _log_summary(trainer: "pl.Trainer", config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Gives each tracker the settings and the best checkpoint's numbers as its summary."""
    from pytorch_lightning.loggers import TensorBoardLogger

    from tandem.config import flatten

    settings = flatten({key: config[key] for key in config if key not in ("callbacks", "logger", "runs")})
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(settings, dict(metrics))
        else:
            logger.log_hyperparams(settings)
            logger.log_metrics({f"best/{key}": value for key, value in metrics.items()})
