"""Trains one network on all tasks, evaluates the best checkpoint, leaves results."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from tandem.config.identity import run_hash
from tandem.config.monitor import AUTO
from tandem.config.resolve import resolve
from tandem.config.suggest import nearest
from tandem.errors import ConfigError, DataError
from tandem.factory import make_data, make_module, make_trainer
from tandem.metrics.catalogue import metric_of
from tandem.utils.artifacts import LAST, RESULTS
from tandem.utils.files import write_json, write_text
from tandem.utils.lazy_imports import load_libraries

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)


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
    from tandem.reports.run_report import REPORT, write_report
    from tandem.reports.table import print_results
    from tandem.train.answer import finished_results

    plain = resolve(config)
    known = finished_results(plain, folder)
    results = train(plain, folder) if known is None else _as_declared_now(known, plain, folder)
    if not (folder / REPORT).exists():  # also where a finished run was cut before its page was written
        write_report(folder)
    print_results(results, folder)
    value = results["metrics"].get(plain["monitor"])
    return None if value is None else float(value)


def _as_declared_now(results: dict[str, Any], config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A finished run's results with directions and labels as the configuration has them now, which change no number."""
    from tandem.metrics.declared import declared_anew
    from tandem.metrics.stored import as_stored, read_quantities
    from tandem.reports.run_report import REPORT

    stored = read_quantities(results)
    if (now := declared_anew(stored, config["tasks"])) == stored:
        return results
    results["quantities"] = {key: as_stored(one) for key, one in now.items()}
    write_json(folder / RESULTS, results)
    (folder / REPORT).unlink(missing_ok=True)  # written again with the new labels
    return results


def train(config: Mapping[str, Any], folder: Path, callbacks: "Sequence[pl.Callback]" = ()) -> dict[str, Any]:
    """Trains, or goes on where a run was cut, and writes `results.json`, the report and the checkpoints.

    Args:
        config: the resolved configuration as plain containers.
        folder: the run's folder.
        callbacks: further ones, which are no setting of the run.

    Returns:
        What is in `results.json`.

    Raises:
        ConfigError: parts that do not fit together.
        DataError: data that cannot be used, or that changed since the run began.
    """
    from tandem.distributed.count import device_count
    from tandem.train.continuation import continue_run
    from tandem.train.ddp_launch import train_on_devices

    check_config(config)
    continue_run(config, folder)
    count = device_count(config)
    if count == 1:
        return train_here(config, folder, callbacks)
    if callbacks:
        raise ConfigError(f"trainer.devices is {count}, but the trials of a search are on one device each; set it to 1")
    return train_on_devices(config, folder, count)


def train_here(config: Mapping[str, Any], folder: Path, callbacks: "Sequence[pl.Callback]" = ()) -> dict[str, Any]:
    """Trains in this process, which may be that of one of several devices; arguments and errors are those of `train`.

    Returns:
        What is in `results.json`; nothing on other devices than the first, which write no file.
    """
    quieten()
    load_libraries()
    import pytorch_lightning as pl

    from tandem.distributed.gather import get_rank, rank_zero_first
    from tandem.distributed.sync_batchnorm import convert_batchnorm
    from tandem.network.weights import origin
    from tandem.reports.run_report import write_report
    from tandem.runs.provenance import keep_data, read_data
    from tandem.trackers import finish, log_results, log_settings
    from tandem.train.class_statistics import prepare
    from tandem.train.continuation import resumed_from, write_identity
    from tandem.train.results import collect_results, evaluate_best

    started = time.time()
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    data = make_data(config)
    module = make_module(config, data.info)
    trainer = make_trainer(config, folder, callbacks)
    first = get_rank() == 0
    module.balance.check_devices(trainer.world_size)  # as at the start of training, but before the data are read
    for task in module.tasks.values():
        task.check_devices(trainer.world_size)
    if trainer.world_size > 1:
        convert_batchnorm(module, gpu=trainer.strategy.root_device.type == "cuda")
    with rank_zero_first():
        read_data(data, folder)
    known: dict[str, Any] = {"hash": run_hash(config), "weights": origin(config["network"])}
    fingerprint = keep_data(data, folder) if first else {}
    last = folder / LAST
    resumed = last.exists()
    if first:
        write_identity(config, folder)
        write_config(config, folder)
    _check_monitored(config["monitor"], module, data)
    _warn_of_moving(config["monitor"], module)
    _warn_of_mode(config, module)
    _warn_of_random(config["network"])
    _announce(config, data, module, trainer, known["weights"])
    computed = prepare(module, data, folder)
    try:
        log_settings(trainer, {**config, "computed": computed}, folder)
        _fit(trainer, module, data, last if resumed else None)
        metrics = evaluate_best(trainer, module, data, folder)
        if not first:
            return {}
        known["data"] = {"name": data.info.name, "fingerprint": fingerprint, "skipped": len(data.skipped)}
        known["data"] |= {"content": inventory.digest()} if (inventory := data.inventory()) else {}
        known["resumed_from"] = resumed_from(folder)
        results = collect_results(config, trainer, module, metrics, known, folder)
        log_results(trainer, results, folder)
    except BaseException:
        finish(trainer, failed=True)
        raise
    finish(trainer)
    results["computed"] = computed
    results["resumed"] = resumed
    results["seconds"] = round(time.time() - started, 1)
    write_json(folder / RESULTS, results)
    write_report(folder)
    return results


def _fit(trainer: "pl.Trainer", module: "MultiTaskModule", data: "DataModule", last: Path | None) -> None:
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    if last is not None:
        log.info("going on from %s", last)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=None if last is None else str(last), weights_only=True)
    except MisconfigurationException as error:
        logged = [key for key in trainer.callback_metrics if key.startswith("val/")]
        if module.monitor in logged or not logged:
            raise
        raise ConfigError(
            f"monitor is '{module.monitor}', which nothing logs: {nearest(module.monitor, logged)}"
        ) from error


def _announce(
    config: Mapping[str, Any],
    data: "DataModule",
    module: "MultiTaskModule",
    trainer: "pl.Trainer",
    weights: Mapping[str, str] | None,
) -> None:
    """Says what is about to be trained on what, so that a wrong split or task is seen before it costs a night."""
    from tandem.data.samples import describe_split

    for split, samples in data.splits.items():
        log.info("data %s, %s", data.info.name, describe_split(split, samples, data.info.classes))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    device = trainer.strategy.root_device
    log.info("tasks %s; %s parameters; on %s", ", ".join(module.tasks), f"{parameters:,}", device)
    log.info("best epoch: %s %s", "highest" if config["mode"] == "max" else "lowest", config["monitor"])
    if weights is not None:
        log.info("the encoder begins from %s", ", ".join(f"{key} {value}" for key, value in weights.items()))


def _warn_of_random(network: Mapping[str, Any]) -> None:
    """Says where an encoder is held still that knows nothing."""
    freeze = network.get("freeze", "none")
    if freeze != "none" and not (network.get("pretrained") or network.get("weights")):
        log.warning(
            "network.freeze=%s keeps random weights: set network.pretrained=true or network.weights=FILE", freeze
        )


def write_config(config: Mapping[str, Any], folder: Path) -> None:
    """Keeps the resolved configuration as `config.yaml`."""
    from omegaconf import OmegaConf

    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(config))))


def check_config(config: Mapping[str, Any]) -> None:
    """Refuses settings of a run that cannot work together, before anything is made of them.

    Args:
        config: the resolved configuration as plain containers.

    Raises:
        ConfigError: one of them, with its key.
    """
    if not 0 <= config["seed"] < 2**32:
        raise ConfigError(f"seed is {config['seed']}, but must be at least 0 and below 2^32")
    if config["mode"] not in ("min", "max", AUTO):
        raise ConfigError(f"mode is '{config['mode']}', but must be 'min' or 'max'")
    if not config["callbacks"].get("best"):
        raise ConfigError("callbacks.best is off, but the best checkpoint is what results are made of; leave it on")
    if config["trainer"].get("fast_dev_run"):
        raise ConfigError("trainer.fast_dev_run keeps no checkpoint to make results of; use experiment=tiny instead")
    stage, _, rest = config["monitor"].partition("/")
    if not rest:
        raise ConfigError(f"monitor is '{config['monitor']}', but must be like val/<task>/<metric> or val/loss")
    if stage != "val":
        raise ConfigError(f"monitor is '{config['monitor']}'; the best epoch is chosen on validation data, so val/...")
    if config["mode"] == "max" and metric_of(config["monitor"]) == "loss":
        raise ConfigError(f"monitor is '{config['monitor']}', of which less is better; set mode=min with it")
    task = rest.split("/")[0]
    if "/" in rest and task not in config["tasks"]:
        raise ConfigError(
            f"monitor is '{config['monitor']}', but there is no task '{task}': {', '.join(config['tasks'])}"
        )
    if config["mode"] == AUTO:
        raise ConfigError(
            f"monitor is '{config['monitor']}', whose direction is not known; add mode=max (more is better) or mode=min"
        )


def _check_monitored(monitor: str, module: "MultiTaskModule", data: "DataModule") -> None:
    """Refuses a run whose best epoch could never be told."""
    from tandem.tasks.target_statistics import has_target

    samples = data.splits["val"]
    task = module.tasks.get(monitor.split("/")[1])
    if task is not None and not has_target(task, samples):
        raise DataError(
            f"no picture of the split 'val' has a target for task '{task.name}', whose {monitor} says which epoch is "
            "best; give it some, or set monitor=val/... and mode=... of another task"
        )


def _warn_of_mode(config: Mapping[str, Any], module: "MultiTaskModule") -> None:
    """Warns where the worst epoch would be kept as the best one."""
    from tandem.train.quantities import monitored

    direction = monitored(config, module.tasks).direction
    if direction not in (None, config["mode"]):
        kept = "highest" if config["mode"] == "max" else "lowest"
        log.warning(
            "mode=%s keeps the epoch with the %s %s, of which %s is better; set mode=%s",
            config["mode"], kept, config["monitor"], "more" if direction == "max" else "less", direction,
        )  # fmt: skip


def _warn_of_moving(monitor: str, module: "MultiTaskModule") -> None:
    """Says where the best epoch would be the one whose weights are the smallest, not the one that learnt the most."""
    for name, task in module.tasks.items():
        for term in task.moving():
            if monitor in ("val/loss", f"val/{name}/loss", f"val/{name}/loss/{term}"):
                log.warning(
                    "monitor=%s compares epochs in which the term '%s' of task '%s' has different weights; monitor a "
                    "metric, or val/%s/loss/%s/unweighted", monitor, term, name, name, term,
                )  # fmt: skip


def quieten() -> None:
    """Hides advice of libraries that does not apply here; errors and our own warnings stay."""
    import warnings

    for message in (
        r".*does not have many workers.*",  # data held in memory needs none
        r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run's own folder
        r".*The number of training batches .* is smaller than the logging interval.*",
        r".*`training_step` returned `None`.*",  # a batch without any target is passed over, as documented
        r".*sync_dist=True\)` when logging on epoch level.*",  # every device logs the values of the whole split
        r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",  # Lightning's own
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.trainer.connectors.checkpoint_connector").setLevel(logging.WARNING)
    logging.getLogger("timm.models").setLevel(logging.ERROR)  # which weights arrived is checked and told by us
