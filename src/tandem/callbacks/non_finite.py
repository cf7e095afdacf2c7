"""Detects losses, gradients and weights that are not finite, and names where they arise."""

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
"""Number of images that a message names."""

MOST = 10
"""Number of consecutive steps that `skip` and `rollback` may omit before the run ends."""


class NonFinite(pl.Callback):
    """Checks the losses and gradients of each step, and the weights after each epoch.

    The message names the step, the images, the task, the term of its loss and the layer. With precision 16-mixed the
    gradient scaler handles gradients that overflow, so only losses are checked.

    Args:
        policy: `stop` ends the run; `skip` omits the step, as if its batch did not exist; `rollback` restores weights
            and optimiser as they were at the start of the epoch, and continues with the next batch.

    Raises:
        ConfigError: if the policy is unknown.
        TrainingError: if a value is not finite under `stop`, or in too many consecutive steps.
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
        """Copies the state that `rollback` restores."""
        if self.policy == "rollback":
            states = [optimizer.state_dict() for optimizer in trainer.optimizers]
            self.start = copy.deepcopy((dict(pl_module.state_dict()), states))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Copies the buffers that an omitted step must not change."""
        if self.policy == "skip":
            self.buffers = [(buffer, buffer.clone()) for buffer in pl_module.buffers()]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Checks the losses of each batch; a step may accumulate the gradients of several batches."""
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
        """Checks the gradients, and omits the step if something was not finite."""
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
        log.warning("%s: %s", self.reason, "step omitted" if self.policy == "skip" else "start of the epoch restored")
        self._undo(trainer, pl_module)
        for parameter in pl_module.parameters():
            parameter.grad = None  # optimisers skip parameters without a gradient
        self.reason = ""

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Checks the weights after the last step of an epoch, before they are validated."""
        if not trainer.is_last_batch:
            return
        bad = next((name for name, value in pl_module.named_parameters() if not bool(value.isfinite().all())), None)
        if bad is not None:
            raise TrainingError(f"the weights of {bad} are not finite after epoch {trainer.current_epoch}; {FIX}")

    def epoch_state(self) -> dict[str, Any]:
        """The steps omitted in a row, and the state that `rollback` restores, for a checkpoint inside of an epoch."""
        return {"row": self.row, "start": self.start}

    def load_epoch_state(self, state: dict[str, Any]) -> None:
        """Restores both."""
        self.row, self.start = int(state["row"]), state["start"]

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


def _bad_gradient(module: MultiTaskModule) -> str | None:
    """Returns the last parameter, from input to heads, whose gradient is not finite, since gradients flow backwards."""
    named = [(name, value.grad) for name, value in module.known_parameters() if value.grad is not None]
    if bool(nn.utils.get_total_norm([gradient for _, gradient in named]).isfinite()):
        return None
    bad = [name for name, gradient in named if not bool(gradient.isfinite().all())]
    return bad[-1] if bad else None  # a norm may overflow though each entry is finite


def _first_layer(module: MultiTaskModule) -> str:
    """Describes where in the forward pass the first value that is not finite arises; changes nothing."""
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
