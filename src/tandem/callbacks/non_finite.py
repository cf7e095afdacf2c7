"""Losses, gradients and weights that are not finite: named where they arise, and kept out of the weights."""

import copy
import logging
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from tandem.balance.replay import same_buffers
from tandem.errors import ConfigError, TrainingError
from tandem.module import MultiTaskModule

log = logging.getLogger(__name__)

POLICIES = ("stop", "skip", "rollback")

SHOWN = 8
"""Names of images that a message lists."""

MOST = 10
"""Steps in a row that `skip` and `rollback` may leave out before the run ends all the same."""


class NonFinite(pl.Callback):
    """Looks at each step's losses and gradients, and at an epoch's weights; tells step, batch, task, term and layer.

    With half precision and its gradient scaler, gradients that overflow are the scaler's business, and only losses are
    judged.

    Args:
        policy: `stop` ends the run; `skip` leaves the step out, as if its batch had not come; `rollback` takes weights
            and optimiser back to where the epoch began, and goes on with the next batch.

    Raises:
        ConfigError: another policy.
        TrainingError: a value is not finite under `stop`, or in too many steps in a row.
    """

    def __init__(self, policy: Literal["stop", "skip", "rollback"] = "stop") -> None:
        if policy not in POLICIES:
            raise ConfigError(f"policy is '{policy}', but must be one of {', '.join(POLICIES)}")
        self.policy = policy
        self.reason = ""
        self.row = 0
        self.buffers: list[tuple[Tensor, Tensor]] = []
        self.start: tuple[dict[str, Any], list[dict[str, Any]]] | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps what `rollback` goes back to."""
        if self.policy == "rollback":
            states = [optimizer.state_dict() for optimizer in trainer.optimizers]
            self.start = copy.deepcopy((dict(pl_module.state_dict()), states))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the statistics that a step that is left out must not change."""
        if self.policy == "skip":
            self.buffers = [(buffer, buffer.clone()) for buffer in pl_module.buffers()]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Judges the losses; gradients of several batches may make one step."""
        assert isinstance(pl_module, MultiTaskModule)
        if self.reason or bool(loss.detach().isfinite()):
            return
        terms = {f"{task}/{term}": value for task, terms in pl_module.terms.items() for term, value in terms.items()}
        bad = [name.rstrip("/") for name, value in terms.items() if not bool(value.isfinite().all())]
        self.reason = f"the loss of {', '.join(bad) or 'all tasks together'} is not finite {_place(trainer, pl_module)}"
        self.reason += f"; {_first_layer(pl_module)}"
        self._stop_at_once()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Judges the gradients, and leaves the step out where something was not finite."""
        assert isinstance(pl_module, MultiTaskModule)
        if not self.reason and trainer.precision != "16-mixed" and (name := _bad_gradient(pl_module)):
            self.reason = f"the gradient of {name} is not finite {_place(trainer, pl_module)}"
            self._stop_at_once()
        if not self.reason:
            self.row = 0
            return
        self.row += 1
        if self.row > MOST:
            raise TrainingError(f"{self.reason}, as in the {MOST} steps before; {FIX}")
        log.warning("%s: %s", self.reason, "step left out" if self.policy == "skip" else "back to the epoch's start")
        self._undo(trainer, pl_module)
        for parameter in pl_module.parameters():
            parameter.grad = None  # optimisers leave alone what has no gradient
        self.reason = ""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Judges the weights that the epoch's last step left, before they are validated."""
        if not trainer.is_last_batch:
            return
        bad = next((name for name, value in pl_module.named_parameters() if not bool(value.isfinite().all())), None)
        if bad is not None:
            raise TrainingError(f"the weights of {bad} are not finite after epoch {trainer.current_epoch}; {FIX}")

    def _stop_at_once(self) -> None:
        if self.policy == "stop":
            raise TrainingError(f"{self.reason}; {FIX}, or set callbacks.non_finite.policy=skip or rollback")

    def _undo(self, trainer: pl.Trainer, module: MultiTaskModule) -> None:
        with torch.no_grad():
            for buffer, value in self.buffers:
                buffer.copy_(value)
        if self.start is not None:
            weights, states = copy.deepcopy(self.start)
            module.load_state_dict(weights)
            for optimizer, state in zip(trainer.optimizers, states, strict=True):
                optimizer.load_state_dict(state)


FIX = "lower optimizer.lr, clip gradients (trainer.gradient_clip_val=1), or check these images"


def _place(trainer: pl.Trainer, module: MultiTaskModule) -> str:
    names = [str(name) for name in module.batch.get("id", ())]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"in step {trainer.global_step} of epoch {trainer.current_epoch} (images {', '.join(names[:SHOWN])}{more})"


def _bad_gradient(module: nn.Module) -> str | None:
    """The last parameter, from the input to the heads, whose gradient is not finite: gradients flow backwards."""
    named = [(name, value.grad) for name, value in module.named_parameters() if value.grad is not None]
    if bool(nn.utils.get_total_norm([gradient for _, gradient in named]).isfinite()):
        return None
    bad = [name for name, gradient in named if not bool(gradient.isfinite().all())]
    return bad[-1] if bad else None  # a norm may overflow though each entry is finite


def _first_layer(module: MultiTaskModule) -> str:
    """Where in the forward pass of the batch the first value arises that is not finite; changes nothing."""
    bad = next((name for name, value in module.named_parameters() if not bool(value.isfinite().all())), None)
    if bad is not None:
        return f"the weights of {bad} are not finite already"
    image = module.batch["image"]
    if not bool(image.isfinite().all()):
        return "its images are not finite already"
    found: list[str] = []

    def look(name: str) -> Any:
        def hook(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not found and not bool(output.isfinite().all()):
                found.append(name)

        return hook

    inner = [(name, layer) for name, layer in module.named_modules() if name and not any(layer.children())]
    handles = [layer.register_forward_hook(look(name)) for name, layer in inner]
    state = torch.get_rng_state()
    try:
        with torch.no_grad(), same_buffers(module), module.trainer.precision_plugin.train_step_context():
            module(image)
    finally:
        torch.set_rng_state(state)
        for handle in handles:
            handle.remove()
    return f"first in the output of {found[0]}" if found else "all layers are finite, so it arose in the loss itself"
