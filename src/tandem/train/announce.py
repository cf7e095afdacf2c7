"""What a run says before it trains: its tasks, splits and device, and choices that may not be meant."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tandem.data.samples import describe_split
from tandem.train.quantities import monitored
from tandem.utils.machine import native_bfloat16

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from tandem.data.datamodule import DataModule
    from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)


def announce_run(
    config: Mapping[str, Any],
    data: "DataModule",
    module: "MultiTaskModule",
    trainer: "pl.Trainer",
    weights: Mapping[str, str] | None,
) -> None:
    """Logs tasks, splits and device, so that a wrong one is noticed early; warns of what may not be meant.

    Args:
        config: the resolved configuration.
        data: after `setup`.
        module: what is trained.
        trainer: trains it.
        weights: where the encoder's weights come from; None: they are random.
    """
    _warn_of_moving(config["monitor"], module)
    _warn_of_mode(config, module)
    _warn_of_random(config["network"])
    _warn_of_converting(config["trainer"].get("precision"), trainer.precision, trainer.strategy.root_device.type)
    for split, samples in data.splits.items():
        log.info("data %s, %s", data.info.name, describe_split(split, samples, data.info.classes))
    device = trainer.strategy.root_device
    log.info("tasks %s; %s; on %s", ", ".join(module.tasks), _parameters(module), device)
    log.info("best epoch: %s %s", "highest" if config["mode"] == "max" else "lowest", config["monitor"])
    if weights is not None:
        log.info("the encoder starts from %s", ", ".join(f"{key} {value}" for key, value in weights.items()))


def _parameters(module: "MultiTaskModule") -> str:
    """How many parameters there are, and how many of them are trained if that is not all."""
    counts = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    total, trained = sum(count for count, _ in counts), sum(count for count, needed in counts if needed)
    return f"{total:,} parameters" + (f", {trained:,} of them trained" if trained < total else "")


def _warn_of_random(network: Mapping[str, Any]) -> None:
    """Warns when a frozen encoder has random weights."""
    freeze, rank = network.get("freeze", "none"), (network.get("lora") or {}).get("rank")
    frozen = f"network.freeze={freeze}" if freeze != "none" else f"network.lora.rank={rank}" if rank else None
    if frozen is not None and not (network.get("pretrained") or network.get("weights")):
        log.warning("%s freezes random weights; set network.pretrained=true or network.weights=FILE", frozen)


def _warn_of_converting(asked: object, used: str, device: str) -> None:
    """Warns of mixed precision on a processor without instructions for it (9 times as long an epoch on AVX2)."""
    if device == "cpu" and used.endswith("-mixed") and not native_bfloat16():
        log.warning(
            "trainer.precision=%s: this processor has no bfloat16 instructions, so training may take several times as "
            "long as in float32; set trainer.precision=32-true, or performance=auto with trainer.precision left out",
            asked,
        )


def _warn_of_mode(config: Mapping[str, Any], module: "MultiTaskModule") -> None:
    """Warns where the worst epoch would be kept as the best one."""
    direction = monitored(config, module.tasks).direction
    if direction not in (None, config["mode"]):
        kept = "highest" if config["mode"] == "max" else "lowest"
        log.warning(
            "mode=%s keeps the epoch with the %s %s, but a %s value is better; set mode=%s",
            config["mode"], kept, config["monitor"], "higher" if direction == "max" else "lower", direction,
        )  # fmt: skip


def _warn_of_moving(monitor: str, module: "MultiTaskModule") -> None:
    """Warns when a monitored loss has scheduled weights, so that it may be lowest where the weights are smallest."""
    for name, task in module.tasks.items():
        for term in task.moving():
            if monitor in ("val/loss", f"val/{name}/loss", f"val/{name}/loss/{term}"):
                log.warning(
                    "monitor=%s compares epochs with different weights of the term '%s' of task '%s'; monitor a "
                    "metric, or val/%s/loss/%s/unweighted", monitor, term, name, name, term,
                )  # fmt: skip
