"""The callback: measures, runs the detectors, and reports their findings."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tandem.balance.balance import Balance
from tandem.callbacks.collapse import gradients, losses, predictions
from tandem.callbacks.collapse.finding import Finding
from tandem.callbacks.collapse.history import Epoch, History, Limits
from tandem.callbacks.collapse.measure import Predictions, SharedGramOfStep, shared_gram, shares_and_cosines
from tandem.callbacks.collapse.reading import base_rate, by_task, dice_by_task, ends_linear, mean_over, trained
from tandem.callbacks.split import SplitCallback
from tandem.distributed.metric_states import told_by_all
from tandem.errors import ConfigError
from tandem.module import MultiTaskModule, Outputs
from tandem.trackers import log_numbers, log_text

log = logging.getLogger(__name__)

Detector = Callable[[History, Limits], list[Finding]]

DETECTORS: tuple[Detector, ...] = (
    losses.not_finite,
    predictions.probabilities_as_logits,
    losses.learning_rate_too_high,
    losses.val_loss_rising,
    predictions.stuck_dice,
    predictions.one_sided,
    predictions.one_class,
    gradients.gradient_vanished,
    gradients.gradient_exploding,
    gradients.small_share,
    gradients.opposed_tasks,
)
"""All detectors, in the order in which findings are reported. To add a detector, append its function."""


class CollapseWatch(SplitCallback):
    """Reports each problem of a run once: what was observed, the numbers, and a suggested fix.

    A finding goes to the log (a warning), the progress bar (a mark), the trackers (`warnings/<what>/<task>`),
    `results.json` and the report. The watch does not change the numbers of a run, unless it stops the run.

    Args:
        every: steps between two measurements of the gradients, at least 1. Each costs a backward pass for every task
            but one; for every task if a balance changes gradients, or several batches or devices make a step.
        warm_up: number of epochs at the start that are not judged, at least 0; a problem that no later epoch can fix is
            reported at once.
        patience: number of consecutive epochs that must look bad, at least 1.
        share: minimum share of the shared gradient for each task, in [0, 1).
        opposed: mean cosine of two tasks' gradients below which the tasks are opposed, in [-1, 0].
        stop: whether to end the run at a finding from which training does not recover.

    Raises:
        ConfigError: if a number is out of range.
    """

    def __init__(
        self,
        every: int = 50,
        warm_up: int = 2,
        patience: int = 3,
        share: float = 0.01,
        opposed: float = -0.3,
        stop: bool = False,
    ) -> None:
        if every < 1 or warm_up < 0 or patience < 1:
            raise ConfigError(
                f"every={every}, warm_up={warm_up}, patience={patience}: "
                "need every >= 1, warm_up >= 0 and patience >= 1"
            )
        if not (0 <= share < 1 and -1 <= opposed <= 0):
            raise ConfigError(f"share={share}, opposed={opposed}: need share in [0, 1) and opposed in [-1, 0]")
        self.every = every
        self.limits = Limits(warm_up, patience, share, opposed)
        self.stop = stop
        self.history = History()
        self.findings: dict[str, tuple[int, Finding]] = {}
        self.counts: dict[str, Predictions] = {}
        self.norms: list[Tensor] = []
        self.grams: list[tuple[tuple[str, ...], Tensor]] = []
        self.finite: dict[str, Tensor] = {}
        self.validated = False
        self.begun: SharedGramOfStep | None = None

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """The findings with their epochs, as plain containers for `results.json`."""
        return [{"epoch": epoch, **asdict(finding)} for epoch, finding in self.findings.values()]

    @property
    def mark(self) -> str:
        """The first finding and the number of further ones, for the progress bar; empty without any."""
        more = len(self.findings) - 1
        return next(iter(self.findings), "") + (f" +{more}" if more > 0 else "")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stops again if the run was stopped by a finding and then interrupted before it had results."""
        self._stop_if_fatal(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Resets the measurements of an epoch."""
        self.norms, self.grams, self.finite, self.counts, self.validated = [], [], {}, {}, False

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Stores the losses of the untrained network; measures the tasks' gradients every few steps."""
        assert isinstance(pl_module, MultiTaskModule)
        for name, value in pl_module.losses.items():
            if trainer.global_step == 0:
                self.history.start.setdefault(name, float(value.detach()))
            self.finite[name] = self.finite.get(name, True) & value.detach().isfinite()
        counted = {name: value for name, value in pl_module.losses.items() if name in trained(pl_module)}
        own = pl_module.share == "none" and trainer.world_size > 1  # each device has its own tasks in a step
        if not self._due(trainer) or len(counted) < 2 or own:
            return
        network = list(pl_module.network.parameters())
        if _adds_up(trainer, pl_module):
            longest = max(counted, key=lambda name: pl_module.tasks[name].dense)
            self.begun = SharedGramOfStep(loss, counted, network, longest)
        else:
            self._keep(trainer, tuple(counted), shared_gram(loss, counted, network))

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the measurement of the tasks' gradients, where the step's own are part of it."""
        if self.begun is not None:
            self._keep(trainer, self.begun.names, self.begun.after_backward())
            self.begun = None

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Measures the norm of the whole gradient before clipping, every few steps."""
        if self._due(trainer):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            found = [parameter.grad for parameter in parameters if parameter.grad is not None]
            norm = torch.nn.utils.get_total_norm(found)
            if not _skipped(trainer, norm):
                self.norms.append(norm)

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Resets the counts; reports a loss that was not finite now, since metrics would raise on its outputs."""
        self.counts = {}
        if trainer.state.fn == "fit":
            lost = {name: math.nan for name, finite in self.finite.items() if not finite}
            epoch = Epoch(trainer.current_epoch, base_rate(trainer), train=lost)
            self._report(trainer, losses.not_finite(History([epoch]), self.limits), epoch)
            for name in trained(module):  # embeddings and numbers have no classes to count
                task = module.tasks[name]
                if task.target_kind.watched:
                    counts = Predictions(task.target_kind, task.class_names, ends_linear(task))
                    self.counts[name] = counts.to(module.device)

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Counts a validation batch."""
        for name in self.counts.keys() & outputs.keys():
            self.counts[name].update(outputs[name], module.tasks[name].threshold)

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Marks that the epoch has validation values; otherwise those of an earlier epoch would be used."""
        self.validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the epoch to the history and reports what the detectors find."""
        assert isinstance(pl_module, MultiTaskModule)
        self.history.epochs.append(self._epoch(trainer, pl_module))
        self._log_gradients(trainer)
        for detector in DETECTORS:
            if "not_finite" in self.findings:  # other findings are meaningless then
                break
            self._report(trainer, detector(self.history, self.limits), self.history.last)
        self._stop_if_fatal(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Returns history and findings as plain containers."""
        return {"history": self.history.to_plain(), "findings": self.warnings}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores history and findings, so that nothing is reported twice.

        A history that ends earlier belongs to the best checkpoint, loaded after training, and is ignored.
        """
        history = History.from_plain(state_dict["history"])
        if len(history.epochs) < len(self.history.epochs):
            return
        self.history = history
        found = [(entry["epoch"], Finding(**_without_epoch(entry))) for entry in state_dict["findings"]]
        self.findings = {finding.label: (epoch, finding) for epoch, finding in found}

    def epoch_state(self) -> dict[str, Any]:
        """The measurements since the epoch began, for a checkpoint inside of it."""
        return {"norms": self.norms, "grams": self.grams, "finite": self.finite}

    def load_epoch_state(self, state: dict[str, Any]) -> None:
        """Restores them."""
        self.norms, self.grams, self.finite = list(state["norms"]), list(state["grams"]), dict(state["finite"])

    def _keep(self, trainer: pl.Trainer, names: tuple[str, ...], gram: Tensor) -> None:
        if not _skipped(trainer, gram):
            self.grams.append((names, gram))

    def _due(self, trainer: pl.Trainer) -> bool:
        return trainer.global_step % self.every == 0

    def _epoch(self, trainer: pl.Trainer, module: MultiTaskModule) -> Epoch:
        known = {key: float(value) for key, value in trainer.callback_metrics.items()}
        shares, cosines = mean_over([shares_and_cosines(names, gram) for names, gram in self.grams])
        seen, _ = told_by_all(self.counts)
        counted = {name: counts.predicted() for name, counts in self.counts.items() if name in seen}
        return Epoch(
            number=trainer.current_epoch,
            rate=base_rate(trainer),
            train=by_task(known, module, "train", "loss"),
            val=by_task(known, module, "val", "loss") if self.validated else {},
            dice=dice_by_task(known, module) if self.validated else {},
            predicted=counted,
            norm=median(map(float, self.norms)) if self.norms else None,
            shares=shares,
            cosines=cosines,
            weights=dict(module.balance.weights),
            terms={name: module.tasks[name].weights() for name in trained(module)},
        )

    def _log_gradients(self, trainer: pl.Trainer) -> None:
        last = self.history.last
        numbers = {f"train/{task}/gradient_share": share for task, share in last.shares.items()}
        numbers |= {f"train/gradient_cosine/{pair}": cosine for pair, cosine in last.cosines.items()}
        log_numbers(trainer, numbers if last.norm is None else {**numbers, "train/gradient_norm": last.norm})

    def _report(self, trainer: pl.Trainer, found: Sequence[Finding], epoch: Epoch) -> None:
        for finding in found:
            if finding.label in self.findings:
                continue
            self.findings[finding.label] = (epoch.number, finding)
            if trainer.is_global_zero:
                log.warning("warning: epoch %d, %s: %s", epoch.number, finding.name, finding)
                log_numbers(trainer, {f"warnings/{finding.label}": 1.0})
                log_text(trainer, f"warnings/{finding.label}", str(finding))

    def _stop_if_fatal(self, trainer: pl.Trainer) -> None:
        if not self.stop:
            return
        fatal = [label for label, (_, finding) in self.findings.items() if finding.fatal]
        if trainer.strategy.reduce_boolean_decision(bool(fatal), all=False):
            log.warning("warning: the run stops here because of callbacks.collapse.stop: %s", ", ".join(fatal))
            trainer.should_stop = True


def _adds_up(trainer: pl.Trainer, module: MultiTaskModule) -> bool:
    """Whether the backward pass leaves in `.grad` the weighted sum of this step's task gradients, and nothing else."""
    by_loss = type(module.balance).backward is Balance.backward
    return by_loss and trainer.accumulate_grad_batches == 1 and trainer.world_size == 1


def _skipped(trainer: pl.Trainer, measured: Tensor) -> bool:
    """Whether the scaler of half precision leaves out the step: gradients overflow until its scale fits."""
    return trainer.precision == "16-mixed" and not bool(measured.isfinite().all())


def _without_epoch(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "epoch"}
