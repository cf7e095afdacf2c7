"""The callback: measures, asks the detectors, and says what they found."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tandem.callbacks.collapse import gradients, losses, predictions
from tandem.callbacks.collapse.finding import Finding
from tandem.callbacks.collapse.history import Epoch, History, Limits
from tandem.callbacks.collapse.measure import Predictions, shared_gram, shares_and_cosines
from tandem.callbacks.collapse.reading import base_rate, by_task, dice_by_task, ends_linear, mean_over, trained
from tandem.callbacks.split import SplitCallback
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
"""What is looked for, in the order in which it is said. One more is a function here, and its name."""


class CollapseWatch(SplitCallback):
    """Says, once each and in plain words, what is wrong with a run: what it saw, the numbers, and what to try.

    It goes to the log (a warning), the progress bar (a mark), the trackers (`collapse/<what>/<task>`), `results.json`
    and the report. The numbers of the run are the same with and without it, unless it stops the run.

    Args:
        every: steps between two looks at the gradients, at least 1. A look costs a backward pass for each task.
        warm_up: epochs at the start that are not judged, at least 0; what no later epoch can mend is said at once.
        patience: epochs in a row that must look bad, at least 1.
        share: of the shared gradient that each task must have, in [0, 1).
        opposed: mean cosine of two tasks' gradients below which they are opposed, in [-1, 0].
        stop: whether to end the run at a finding that training does not recover from.

    Raises:
        ConfigError: a number out of range.
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

    @property
    def warnings(self) -> list[dict[str, Any]]:
        """What was found, with the epoch, as plain containers for `results.json`."""
        return [{"epoch": epoch, **asdict(finding)} for epoch, finding in self.findings.values()]

    @property
    def mark(self) -> str:
        """For a narrow progress bar: the first finding and how many more there are; empty without any."""
        more = len(self.findings) - 1
        return next(iter(self.findings), "") + (f" +{more}" if more > 0 else "")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that was stopped and then cut, before it had results, does not go on."""
        self._stop_if_fatal(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins an epoch's measurements."""
        self.norms, self.grams, self.finite, self.counts, self.validated = [], [], {}, {}, False

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Keeps what the untrained network's losses are; every few steps measures the tasks' gradients."""
        assert isinstance(pl_module, MultiTaskModule)
        for name, value in pl_module.losses.items():
            if trainer.global_step == 0:
                self.history.start.setdefault(name, float(value.detach()))
            self.finite[name] = self.finite.get(name, True) & value.detach().isfinite()
        counted = {name: value for name, value in pl_module.losses.items() if name in trained(pl_module)}
        if self._due(trainer) and len(counted) > 1:
            gram = shared_gram(loss, counted, list(pl_module.network.parameters()))
            self.grams.append((tuple(counted), gram))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Every few steps measures the norm of the whole gradient, as it is before clipping."""
        if self._due(trainer):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            found = [parameter.grad for parameter in parameters if parameter.grad is not None]
            self.norms.append(torch.nn.utils.get_total_norm(found))

    def begin(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Begins with empty counts; says now if a loss was not finite, since metrics refuse what comes of it."""
        self.counts = {}
        if trainer.state.fn == "fit":
            lost = {name: math.nan for name, finite in self.finite.items() if not finite}
            epoch = Epoch(trainer.current_epoch, base_rate(trainer), train=lost)
            self._say(trainer, losses.not_finite(History([epoch]), self.limits), epoch)
            for name in trained(module):  # embeddings and numbers have no class to be stuck in
                task = module.tasks[name]
                if task.target_kind.watched:
                    counts = Predictions(task.target_kind, task.class_names, ends_linear(task))
                    self.counts[name] = counts.to(module.device)

    def see(
        self, trainer: pl.Trainer, module: MultiTaskModule, stage: str, outputs: Outputs, batch: Mapping[str, Any]
    ) -> None:
        """Counts a batch of validation."""
        for name in self.counts.keys() & outputs.keys():
            self.counts[name].update(outputs[name], module.tasks[name].threshold)

    def end(self, trainer: pl.Trainer, module: MultiTaskModule, stage: str) -> None:
        """Notes that the epoch has validation values; else those of an earlier one would be taken for its own."""
        self.validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the epoch to the history and says what the detectors find in it."""
        assert isinstance(pl_module, MultiTaskModule)
        self.history.epochs.append(self._epoch(trainer, pl_module))
        self._log_gradients(trainer)
        for detector in DETECTORS:
            if "not_finite" in self.findings:  # nothing else means anything any more
                break
            self._say(trainer, detector(self.history, self.limits), self.history.last)
        self._stop_if_fatal(trainer)

    def state_dict(self) -> dict[str, Any]:
        """History and findings, as plain containers."""
        return {"history": self.history.to_plain(), "findings": self.warnings}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up history and findings, so that nothing is said twice.

        Those of an earlier epoch than its own come with the best checkpoint, after training, and are left.
        """
        history = History.from_plain(state_dict["history"])
        if len(history.epochs) < len(self.history.epochs):
            return
        self.history = history
        found = [(entry["epoch"], Finding(**_without_epoch(entry))) for entry in state_dict["findings"]]
        self.findings = {finding.label: (epoch, finding) for epoch, finding in found}

    def _due(self, trainer: pl.Trainer) -> bool:
        return trainer.global_step % self.every == 0

    def _epoch(self, trainer: pl.Trainer, module: MultiTaskModule) -> Epoch:
        known = {key: float(value) for key, value in trainer.callback_metrics.items()}
        shares, cosines = mean_over([shares_and_cosines(names, gram) for names, gram in self.grams])
        counted = {name: counts.predicted() for name, counts in self.counts.items() if counts.update_called}
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

    def _say(self, trainer: pl.Trainer, found: Sequence[Finding], epoch: Epoch) -> None:
        for finding in found:
            if finding.label in self.findings:
                continue
            self.findings[finding.label] = (epoch.number, finding)
            if trainer.is_global_zero:
                log.warning("warning: epoch %d, %s: %s", epoch.number, finding.name, finding)
                log_numbers(trainer, {f"collapse/{finding.label}": 1.0})
                log_text(trainer, f"collapse/{finding.label}", str(finding))

    def _stop_if_fatal(self, trainer: pl.Trainer) -> None:
        if not self.stop:
            return
        fatal = [label for label, (_, finding) in self.findings.items() if finding.fatal]
        if trainer.strategy.reduce_boolean_decision(bool(fatal), all=False):
            log.warning("warning: the run ends here, as callbacks.collapse.stop wants: %s", ", ".join(fatal))
            trainer.should_stop = True


def _without_epoch(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "epoch"}
