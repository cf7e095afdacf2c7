"""Trains one network on all tasks, evaluates the best checkpoint and writes the results."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from tandem.config.identity import run_hash
from tandem.config.monitor import AUTO
from tandem.config.resolve import resolve
from tandem.config.suggest import nearest
from tandem.decisions.asked import read_asked
from tandem.distributed.world import first_failure, tell, told, world
from tandem.errors import ConfigError, TrainingError
from tandem.factory import image_size, make_data, make_module, make_trainer
from tandem.jobs.slurm import requeue
from tandem.metrics.catalogue import metric_of
from tandem.utils.artifacts import COMPUTING_KEY, LAST, RESULTS
from tandem.utils.console import only_warnings, warnings_logged
from tandem.utils.digests import recorded
from tandem.utils.files import write_json, write_text
from tandem.utils.lazy_imports import collection_paused, load_libraries
from tandem.utils.signals import Terminated, interruption

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)


def main() -> None:
    """The command `tandem-train`."""
    from tandem.cli import run
    from tandem.distributed.count import device_count

    run(train_job, "train", processes=device_count)


def train_job(config: DictConfig, folder: Path) -> float | None:
    """Runs one job: trains unless the run is finished, prints the table, returns the best checkpoint's monitored value.

    Args:
        config: the composed configuration.
        folder: the run's folder.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from tandem.reports.table import print_results

    sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    if sweep and not HydraConfig.get().verbose:
        only_warnings()
    plain = resolve(config)
    with first_failure():
        if world().rank:
            _follow(plain, folder)
            return None
        results = train_or_answer(plain, folder)
        tell("answered")
    if not sweep:  # whose summary has a row for each job
        print_results(results, folder, plain["full"])
    value = results["metrics"].get(plain["monitor"])
    return None if value is None else float(value)


def _follow(config: Mapping[str, Any], folder: Path) -> None:
    """What ranks above 0 do: they train if rank 0 says so, and end if the run is finished or has failed."""
    if (word := told()) == "train":
        train_here(config, folder)
    elif word == "failed":
        raise SystemExit(1)


def train_or_answer(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The results of a run: read from its folder if it is finished, otherwise it is trained, or trained further.

    Args:
        config: the resolved configuration as plain containers.
        folder: the run's folder.
    """
    if not (folder / RESULTS).exists():
        check_config(config)  # before the libraries are imported, which takes seconds
    with collection_paused():  # torch comes with the sources of data
        from tandem.reports.run_report import REPORT, write_report
        from tandem.train.answer import finished_results
        from tandem.train.repair import repair

    repair(folder)
    known = finished_results(config, folder)
    results = _train(config, folder) if known is None else _as_declared_now(known, config, folder)
    if not (folder / REPORT).exists():  # also if a finished run was interrupted before its report was written
        write_report(folder)
    return results


def _train(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Trains; a signal that ends it puts the job of Slurm back into the queue, if `checkpoint.requeue` says so."""
    try:
        return train(config, folder)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(interruption(stop), Terminated) and (config.get("checkpoint") or {}).get("requeue"):
            requeue()
        raise


def _as_declared_now(results: dict[str, Any], config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A finished run's results with directions and labels as the configuration has them now, which change no number."""
    from tandem.metrics.declared import declared_anew
    from tandem.metrics.stored import as_stored, read_quantities
    from tandem.reports.run_report import REPORT

    stored = read_quantities(results)
    if (now := declared_anew(stored, config["tasks"])) == stored:
        return results
    results["quantities"] = {key: as_stored(one) for key, one in now.items()}
    with recorded(folder):
        write_json(folder / RESULTS, results)
    (folder / REPORT).unlink(missing_ok=True)  # written again with the new labels
    return results


def train(config: Mapping[str, Any], folder: Path, callbacks: "Sequence[pl.Callback]" = ()) -> dict[str, Any]:
    """Trains, or resumes an interrupted run, and writes `results.json`, the report and the checkpoints.

    Args:
        config: the resolved configuration as plain containers.
        folder: the run's folder.
        callbacks: further callbacks that are not part of the configuration.

    Returns:
        The content of `results.json`.

    Raises:
        ConfigError: if parts of the configuration are incompatible.
        DataError: if data cannot be used, or changed since the run started.
    """
    from tandem.distributed.count import device_count
    from tandem.train.continuation import continue_run
    from tandem.train.ddp_launch import train_on_devices

    check_config(config)
    count = device_count(config)
    with recorded(folder):
        continue_run(config, folder)
    if (here := world()).size > 1:
        log.info(
            "%s started %d processes, %d on each machine; every batch of %d is divided among them",
            here.starter, here.size, here.here, config["loader"]["batch_size"],
        )  # fmt: skip
        tell("train")
    if count == 1 or here.size > 1:
        return train_here(config, folder, callbacks)
    if callbacks:
        raise ConfigError(f"trainer.devices is {count}, but each trial of a search uses one device; set it to 1")
    return train_on_devices(config, folder, count)


def train_here(config: Mapping[str, Any], folder: Path, callbacks: "Sequence[pl.Callback]" = ()) -> dict[str, Any]:
    """Trains in this process, which may be one of several ranks; arguments and errors are those of `train`.

    Returns:
        The content of `results.json`; empty on ranks other than 0, which write no file.
    """
    with recorded(folder), warnings_logged(), ExitStack() as stack:
        return _train_here(config, folder, callbacks, stack)


def _train_here(
    config: Mapping[str, Any], folder: Path, callbacks: "Sequence[pl.Callback]", stack: ExitStack
) -> dict[str, Any]:
    quieten()
    load_libraries()
    import pytorch_lightning as pl

    from tandem.callbacks.monitor_watch import MonitorWatch
    from tandem.callbacks.resume import Resume
    from tandem.callbacks.unfilled import Unfilled, filled_again
    from tandem.distributed.gather import get_rank, rank_zero_first
    from tandem.network.weights import origin
    from tandem.reports.run_report import write_report
    from tandem.runs.provenance import keep_data, read_data
    from tandem.trackers import finish, log_results, log_settings
    from tandem.train.announce import announce_run
    from tandem.train.checks.fit import check_fit
    from tandem.train.checks.shapes import check_shapes
    from tandem.train.class_statistics import prepare
    from tandem.train.continuation import resumed_from, write_identity
    from tandem.train.decide import check_decide, fit_decisions
    from tandem.train.performance import set_computing
    from tandem.train.results import collect_results, evaluate_best
    from tandem.train.share import share_steps

    began = time.monotonic()
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = make_data(config)
    module = make_module(config, data.info)
    check_shapes(module, data.info.channels, image_size(config["data"]), config["loader"]["batch_size"])
    hash_ = run_hash(config)
    resume = Resume(folder, hash_, (config.get("checkpoint") or {}).get("every_n_steps"), began)
    trainer = make_trainer(config, folder, [*callbacks, MonitorWatch(config["monitor"]), Unfilled(), resume])
    stack.enter_context(filled_again())
    first = get_rank() == 0
    for task in module.tasks.values():  # repeated here so that errors come before the data are read
        task.check_devices(trainer.world_size)
    check_decide(config, module)
    with rank_zero_first():
        read_data(data, folder)
    known: dict[str, Any] = {"hash": hash_, "weights": origin(config["network"])}
    fingerprint = keep_data(data, folder) if first else {}
    last = folder / LAST
    resumed = last.exists()
    if first:
        write_identity(config, folder)
        write_config(config, folder)
    announce_run(config, data, module, trainer, known["weights"])
    computed = prepare(module, data, folder)
    check_fit(config, trainer, module, data)
    computing = set_computing(config, trainer, module, data, folder, stack)
    if trainer.world_size > 1:
        share_steps(config["trainer"], module, gpu=trainer.strategy.root_device.type == "cuda")
    trainer.precision_plugin.convert_module(module)  # before a checkpoint's weights are loaded, or averages are made
    try:
        log_settings(trainer, {**config, "computed": computed}, folder)
        _fit(trainer, module, data, last if resumed else None)
        metrics = evaluate_best(trainer, module, data, folder)
        if not first:
            return {}
        known |= fit_decisions(config, trainer, module, data, folder)
        known["data"] = {"name": data.info.name, "fingerprint": fingerprint, "skipped": len(data.skipped)}
        known["data"] |= {"content": inventory.digest()} if (inventory := data.inventory()) else {}
        known["data"] |= {"levels": [list(pair) for pair in data.levels]} if data.levels else {}
        known["data"] |= {"overlap": len(overlap)} if (overlap := data.notes.get("overlap")) else {}
        known["resumed_from"] = resumed_from(folder)
        results = collect_results(config, trainer, module, metrics, known, folder)
        log_results(trainer, results, folder)
    except BaseException as stop:
        if first and (signalled := interruption(stop)) is not None:
            log.info("interrupted after %.1f s%s", resume.seconds, f": {signalled}" if str(signalled) else "")
        finish(trainer, failed=True)
        raise
    finish(trainer)
    results["computed"] = computed
    results["resumed"] = resumed
    if computing is not None:
        results[COMPUTING_KEY] = computing
    results["seconds"] = round(resume.seconds, 1)
    if trainer.world_size > 1:
        results["processes"] = trainer.world_size
    write_json(folder / RESULTS, results)
    write_report(folder)
    log.info(
        "finished in %.1f s%s; best epoch %d of %d, %s %s", resume.seconds,
        f" over {resume.starts} starts" if resume.starts > 1 else "",
        results["best_epoch"], results["epochs"], config["monitor"], results["metrics"].get(config["monitor"]),
    )  # fmt: skip
    return results


def _fit(trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule", last: Path | None) -> None:
    import torch
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    if last is not None:
        log.info("resuming from %s", last)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=None if last is None else str(last), weights_only=True)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise TrainingError(
            f"out of memory ({' '.join(str(error).split())[:200]}); lower loader.batch_size, with "
            "trainer.accumulate_grad_batches to keep the rows of a step, or lower data.size"
        ) from error
    except MisconfigurationException as error:
        logged = [key for key in trainer.callback_metrics if key.startswith("val/")]
        if module.monitor in logged or not logged:
            raise
        raise ConfigError(
            f"monitor is '{module.monitor}', which is not logged: {nearest(module.monitor, logged)}"
        ) from error


def write_config(config: Mapping[str, Any], folder: Path) -> None:
    """Writes the resolved configuration to `config.yaml`."""
    from omegaconf import OmegaConf

    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(config))))


def check_config(config: Mapping[str, Any]) -> None:
    """Checks that the options of a run work together, before anything is built.

    Args:
        config: the resolved configuration as plain containers.

    Raises:
        ConfigError: if an option is invalid; the message names its key.
    """
    from tandem.train.checks.settings import check_settings

    if not 0 <= config["seed"] < 2**32:
        raise ConfigError(f"seed is {config['seed']}, but must be at least 0 and below 2^32")
    if config["mode"] not in ("min", "max", AUTO):
        raise ConfigError(f"mode is '{config['mode']}', but must be 'min' or 'max'")
    if not config["callbacks"].get("best"):
        raise ConfigError("callbacks.best is off, but results are computed from the best checkpoint; leave it on")
    if config["trainer"].get("fast_dev_run"):
        raise ConfigError("trainer.fast_dev_run saves no checkpoint to evaluate; use experiment=tiny instead")
    stage, _, rest = config["monitor"].partition("/")
    if not rest:
        raise ConfigError(f"monitor is '{config['monitor']}', but must be like val/<task>/<metric> or val/loss")
    if stage != "val":
        raise ConfigError(
            f"monitor is '{config['monitor']}'; the best epoch is chosen on validation data, so val/...; give another"
        )
    if config["mode"] == "max" and metric_of(config["monitor"]) == "loss":
        raise ConfigError(f"monitor '{config['monitor']}' is a loss; set mode=min")
    task = rest.split("/")[0]
    if "/" in rest and task not in config["tasks"]:
        raise ConfigError(
            f"monitor is '{config['monitor']}', but there is no task '{task}': {', '.join(config['tasks'])}"
        )
    if config["mode"] == AUTO:
        raise ConfigError(
            f"monitor is '{config['monitor']}', whose direction is unknown; add mode=max (higher is better) or mode=min"
        )
    read_asked(config.get("decide", "threshold"), stored=False)
    check_settings(config)


def quieten() -> None:
    """Hides library warnings that do not apply here; errors and tandem's own warnings remain."""
    import warnings

    for message in (
        r".*does not have many workers.*",  # data held in memory needs none
        r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run's own folder
        r".*The number of training batches .* is smaller than the logging interval.*",
        r".*`training_step` returned `None`.*",  # a batch without any target is skipped, as documented
        r"The `srun` command is available on your system but is not used.*",  # `world` sees whether it is
        r".*sync_dist=True\)` when logging on epoch level.*",  # every rank logs the values of the whole split
        r"You're resuming from a checkpoint that ended before the epoch ended.*",  # `DataModule` starts at the position
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",  # Lightning's own
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.trainer.connectors.checkpoint_connector").setLevel(logging.WARNING)
    logging.getLogger("timm.models").setLevel(logging.ERROR)  # tandem checks and logs which weights were loaded
