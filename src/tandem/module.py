"""The Lightning module. It knows tasks; each task knows its own loss."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tandem.balance.balance import Balance
from tandem.balance.replay import same_buffers
from tandem.distributed.gather import backward_noop, is_distributed, no_loss
from tandem.network.protocol import SharedNetwork, begin_epoch
from tandem.optim.schedule import Resumable, with_scheduler
from tandem.penalties import Penalties, Penalty
from tandem.tasks.by_rows import answers_of
from tandem.tasks.output import TaskOutput
from tandem.tasks.task import Task
from tandem.trackers.logged import log_mean, shows_step
from tandem.utils.seeding import seed_generators

Outputs = dict[str, TaskOutput]


class MultiTaskModule(Resumable):
    """Trains one network on several tasks by minimising one scalar.

    Args:
        network: maps images to shared features in one pass.
        tasks: tasks by name; their heads are built here.
        balance: combines the named task losses into a scalar.
        optimizer: makes an optimiser from named parameters.
        scheduler: makes a learning-rate scheduler from an optimiser, or None; it steps at the end of each epoch.
        monitor: the logged value that selects the best epoch.
        seed: the random state of each training batch is set from (seed, batch index), so that a resumed run gives the
            same numbers as an uninterrupted one. Batches accumulated into one step have different random states.
        penalties: penalties by name. They add to the gradient but not to the logged loss.
    """

    share = "rows"  # or `batch`, `none`: of what each of several devices computes the losses

    def __init__(
        self,
        network: SharedNetwork,
        tasks: Mapping[str, Task],
        balance: Balance,
        optimizer: Callable[[Any], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
        monitor: str = "val/loss",
        seed: int = 0,
        penalties: Mapping[str, Penalty] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.tasks = dict(tasks)
        self.task_modules = nn.ModuleDict(self.tasks)  # registers the same objects for Lightning and checkpoints
        self.balance = balance
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.monitor, self.seed = monitor, seed
        self.losses: dict[str, Tensor] = {}  # of the current training step, by task, with their graph
        self.terms: dict[str, dict[str, Tensor]] = {}  # of these losses, by task and term
        self.batch: Mapping[str, Any] = {}  # of that step
        for task in tasks.values():
            task.attach(network.channels)
        self.penalties = Penalties(penalties or {}, self.named_parameters())

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Maps (N, C, H, W) images in [0, 1] to the logits of each task."""
        features = self.network(image)
        return {name: task(features) for name, task in self.tasks.items()}

    def shared_step(self, batch: Mapping[str, Any], stage: str, thresholds_final: bool = False) -> Outputs:
        """Returns each task's output for this rank's rows that have its target; tasks without such rows are left out.

        Args:
            batch: a batch of the data loader.
            stage: `train`, `val` or `test`.
            thresholds_final: whether thresholds are final; only then are mask metrics updated.
        """
        outputs = self._outputs(batch)
        for name, output in outputs.items():
            self.tasks[name].update(output, stage, thresholds_final)
        return outputs if stage == "train" else {name: one for name, one in outputs.items() if len(one.rows)}

    def _outputs(self, batch: Mapping[str, Any]) -> Outputs:
        answers = answers_of(self, self.tasks, batch, self.share)
        return {name: output for name, output in answers.items() if output is not None}

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> dict[str, Any] | None:
        """Computes the loss of a batch; a batch without any target is skipped."""
        self._seed_batch()
        outputs = self.shared_step(batch, "train")
        if not outputs:
            return {"loss": no_loss(self.parameters()), "outputs": {}} if is_distributed() else None
        self.batch, self.losses = batch, {name: output.loss for name, output in outputs.items()}
        self.terms = {name: output.losses for name, output in outputs.items()}
        loss = self.balance(self.losses)
        if shows_step(self.trainer):
            steps = {f"train/{name}/step_loss": value.detach() for name, value in self.losses.items()}
            self.log_dict({"train/step_loss": loss.detach(), **steps})
        return {"loss": loss, "outputs": outputs}

    def _seed_batch(self) -> None:
        seed_generators(self.seed * 1_000_003 + self.trainer.fit_loop.total_batch_idx)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Lightning hook: the balance computes the gradients; Lightning clips, accumulates and schedules as usual."""
        accumulate, parameters = self.trainer.accumulate_grad_batches > 1, [one for _, one in self.known_parameters()]
        if self.losses:
            self.balance.backward(loss, self.losses, parameters, accumulate)
        else:
            backward_noop(loss, parameters)
        self.losses, self.terms = {}, {}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning hook: takes the optimiser step, then lets the balance update itself."""
        super().optimizer_step(*args, **kwargs)
        self.balance.after_step(self.losses_again)

    def losses_again(self) -> dict[str, Tensor]:
        """Recomputes the last batch's losses with the current weights and the same random state; changes nothing."""
        with torch.no_grad(), same_buffers(self), self.trainer.precision_plugin.train_step_context():
            self._seed_batch()
            return {name: output.loss for name, output in self._outputs(self.batch).items()}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lightning hook, once per step and before clipping: adds the gradients of the penalties."""
        log_mean(self, self.penalties.add_gradients(optimizer))

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> Outputs:
        """Returns each task's output, for callbacks."""
        return self.shared_step(batch, "val", thresholds_final=self.trainer.state.fn != "fit")

    def test_step(self, batch: Mapping[str, Any], batch_idx: int) -> Outputs:
        """Returns each task's output, for callbacks."""
        return self.shared_step(batch, "test", thresholds_final=True)

    def log_stage(self, stage: str) -> dict[str, Tensor]:
        """Logs the losses and metrics of a whole split, each accumulated and divided once; returns the losses."""
        values = {key: value for task in self.tasks.values() for key, value in task.compute(stage).items()}
        losses = {name: values[key] for name in self.tasks if (key := f"{stage}/{name}/loss") in values}
        if losses:
            values[f"{stage}/loss"] = self.balance.weighted_sum(losses)
        log_mean(self, values)
        return losses

    def begin_epoch(self, epoch: int) -> None:
        """Sets the scheduled values of all tasks to those of an epoch, counted from 0."""
        for task in self.tasks.values():
            task.begin_epoch(epoch)

    def on_fit_start(self) -> None:
        """Raises ConfigError if a task cannot run on several devices."""
        for task in self.tasks.values():
            task.check_devices(self.trainer.world_size)

    def on_train_epoch_start(self) -> None:
        """Applies the schedules of the epoch and its validation, and freezes or unfreezes the encoder."""
        self.begin_epoch(self.current_epoch)
        begin_epoch(self.network, self.current_epoch)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The schedules of the checkpoint's epoch, so that its validation gives what it gave in training."""
        self.begin_epoch(checkpoint["epoch"])

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Runs the tasks' own training steps; logs the split with its last batch, before callbacks end the epoch."""
        for name, output in (outputs or {}).get("outputs", {}).items():
            self.tasks[name].after_step(output, batch)
        if (outputs or {}).get("outputs"):
            log_mean(self, {f"train/{name}/weight": weight for name, weight in self.balance.effective.items()})
        if self.trainer.is_last_batch:
            self.balance.on_epoch_end(self.log_stage("train"))
        self.after_batch()

    def on_validation_epoch_end(self) -> None:
        """Logs the values of the validation split; the batches of the sanity check are discarded."""
        if self.trainer.sanity_checking:
            for task in self.tasks.values():
                task.reset("val")
        else:
            self.log_stage("val")

    def on_test_epoch_end(self) -> None:
        """Logs the values of the test split."""
        self.log_stage("test")

    def configure_optimizers(self) -> Any:
        """Returns the optimiser, and the scheduler, which steps at the end of each epoch."""
        optimizer = self.make_optimizer(self.named_parameters())
        return with_scheduler(optimizer, self.make_scheduler, self.monitor, self._trainer)
