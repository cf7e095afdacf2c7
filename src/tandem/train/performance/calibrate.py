"""`performance=auto` and `fast`: how a run computes, measured on its own network and one batch of its data."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn

from tandem.config.instantiate import build
from tandem.config.monitor import AUTO
from tandem.data.files.cache import cache_folder
from tandem.factory import make_optimizer
from tandem.module import MultiTaskModule
from tandem.network import Network
from tandem.runs.performance import Computing, precision_plugin, read_computing
from tandem.runs.provenance import environment
from tandem.train.performance.choose import TURNS, Axis, Difference, Times, settle
from tandem.train.performance.store import alone, cache_file, read_cache, structure, write_cache
from tandem.train.performance.trial import Trial, difference, in_turns
from tandem.utils.machine import native_bfloat16, usable_cores

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from pytorch_lightning.plugins import Precision

    from tandem.data.datamodule import DataModule

log = logging.getLogger(__name__)

BFLOAT16 = "bf16-mixed"

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables with which a person, or a launcher, has set the number of threads."""


def calibrated(
    config: Mapping[str, Any], trainer: "pl.Trainer", module: MultiTaskModule, data: "DataModule"
) -> Computing:
    """The choice for a run: that of an earlier run of the same structure on this machine, or a new one.

    Runs that start together wait for the first one, whose times they would disturb.

    Args:
        config: the resolved configuration.
        trainer: of the run.
        module: untrained; it and the random states stay as they are.
        data: after `setup`.
    """
    calibration = Calibration(config, trainer, module, data)
    path = cache_file(cache_folder(config["data"].get("cache")), calibration.facts())
    word = config["performance"]["name"]
    with alone(path):
        if (known := read_cache(path, read_computing)) is not None:
            log.info("performance=%s: %s (measured before, for the same structure)", word, known)
            return known
        found = calibration.run()
        times = {str(setting): median(each) for setting, each in calibration.times.items() if each}
        if calibration.enough:
            write_cache(path, found.plain(), calibration.facts(), times)
    steps = ", ".join(f"{setting}: {1000 * seconds:.1f}" for setting, seconds in times.items())
    log.info("performance=%s: %s (%.1f s of measuring; ms a step: %s)", word, found, calibration.took, steps or "-")
    if not calibration.enough:
        log.warning(
            "performance=%s: not every candidate made %d steps in %g s, so the choice is for this run alone; raise "
            "performance.seconds, or train while the machine has less to do",
            word, TURNS, config["performance"]["seconds"],
        )  # fmt: skip
    return found


class Calibration:
    """Measures settings for one run.

    Args:
        config: the resolved configuration.
        trainer: of the run.
        module: untrained.
        data: after `setup`.

    Attributes:
        times: seconds of steps of each setting, the last time that it was measured.
        took: seconds of the whole measurement.
        enough: whether there was time for a median of each.
    """

    def __init__(
        self, config: Mapping[str, Any], trainer: "pl.Trainer", module: MultiTaskModule, data: "DataModule"
    ) -> None:
        self.config, self.module, self.asked = config, module, config["performance"]
        self.device: torch.device = trainer.strategy.root_device
        self.plugin: Precision = trainer.precision_plugin
        self.start = Computing(str(trainer.precision), fused=bool(config["optimizer"].get("fused")))
        self.processes = trainer.world_size
        samples = data.splits["train"]
        rows = max(1, min(len(samples), config["loader"]["batch_size"] // self.processes))
        self.batch = samples.take(range(0, rows * (len(samples) // rows), len(samples) // rows))
        self.differences: dict[tuple[str, bool], Difference] = {}
        self.times: dict[Computing, Sequence[float]] = {}
        self.took, self.enough = 0.0, True

    def facts(self) -> dict[str, Any]:
        """Everything that the choice depends on, as plain values."""
        here = {key: value for key, value in environment().items() if key != "git"}
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {
            "structure": structure(self.config),
            "image": list(self.batch["image"].shape),
            "processes": self.processes,
            "performance": dict(self.asked),
            "precision": [self.config["trainer"].get("precision"), self.start.precision],
            "device": name,
            "threads": {key: os.environ.get(key) for key in THREADS} | {"cores": usable_cores()},
            "here": here,
        }

    def axes(self) -> Iterator[Axis]:
        """What is tried, in this order: what a person has set is left out."""
        if self.config["trainer"].get("precision") == AUTO and self._native():
            yield [{"precision": BFLOAT16}]
        if not any(key in os.environ for key in THREADS) and self.device.type == "cpu" and self.processes == 1:
            now, cores = torch.get_num_threads(), usable_cores()
            yield [{"threads": count} for count in sorted({cores, max(1, cores // 2), 1} - {now})]
        if not isinstance(self.module.network, Network):  # tandem's own always computes so
            yield [{"channels_last": True}]
        node = self.config["optimizer"]
        # torch's scaler cannot clip what a fused step unscales
        scaled = self.start.precision == "16-mixed" and self.config["trainer"].get("gradient_clip_val") is not None
        if not {"fused", "foreach"} & node.keys() and not scaled and _can_fuse(node):
            yield [{"fused": True}]

    def run(self) -> Computing:
        """Measures, within the seconds of the option."""
        begun = time.perf_counter()
        limit = begun + self.asked["seconds"]
        with isolate_rng(include_cuda=self.device.type == "cuda"):
            axes = list(self.axes())
            self.reference = self.trial(self.start).gradient()
            stages = [len(axes) + 1]

            def measure(settings: Sequence[Computing]) -> Times:
                now = time.perf_counter()
                until = now + max(0.0, limit - now) / max(1, stages[0])
                stages[0] -= 1
                steps = {setting: self.trial(setting).step for setting in settings}
                found = in_turns(steps, until)
                self.times |= found
                self.enough &= all(len(each) >= TURNS for each in found.values())
                return found

            def holds(setting: Computing) -> bool:
                in_time = time.perf_counter() < limit
                self.enough &= in_time
                return in_time and self.holds(setting)

            found = settle(self.start, axes, measure, holds)
        self.took = time.perf_counter() - begun
        return found

    def holds(self, setting: Computing) -> bool:
        """Whether loss and gradient stay near those of the run's own precision; threads and optimiser change neither.

        Args:
            setting: a candidate.
        """
        key = (setting.precision, setting.channels_last)
        if key not in self.differences:
            self.differences[key] = self._difference(setting)
        return self.differences[key].within(self.asked["loss"], self.asked["gradient"])

    def _difference(self, setting: Computing) -> Difference:
        try:
            found = difference(self.reference, self.trial(setting).gradient())
        except RuntimeError as error:  # an operation that the precision lacks, or too little memory
            log.info("performance: %s is left out: %s", setting, " ".join(str(error).split())[:160])
            return Difference(float("inf"), float("inf"))
        if not found.within(self.asked["loss"], self.asked["gradient"]):
            log.info(
                "performance: %s is left out: loss %.2g and gradient %.2g from float32", setting, found.loss,
                found.gradient,
            )  # fmt: skip
        return found

    def trial(self, setting: Computing) -> Trial:
        """A copy of the module that computes with a setting."""
        same = setting.precision == self.start.precision
        plugin = self.plugin if same else precision_plugin(setting.precision, self.device.type)
        return Trial(self.module, self.batch, setting, plugin, self.optimizer(setting), self.device)

    def optimizer(self, setting: Computing) -> Callable[..., Any]:
        """What makes the optimiser of a setting."""
        return optimizer_of(self.config, self.module, setting)

    def _native(self) -> bool:
        if self.device.type == "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        return self.device.type == "cpu" and native_bfloat16()


def _can_fuse(node: Mapping[str, Any]) -> bool:
    """Whether the optimiser's class has a step that updates all weights in one pass."""
    trial = build(node, "optimizer")([nn.Parameter(torch.zeros(1, 1))])
    return "fused" in signature(type(trial)).parameters


def optimizer_of(config: Mapping[str, Any], module: MultiTaskModule, setting: Computing) -> Callable[..., Any]:
    """What makes the optimiser of a run, in one pass over all weights if the setting says so."""
    return make_optimizer(config, module.network, **({"fused": True} if setting.fused else {}))
