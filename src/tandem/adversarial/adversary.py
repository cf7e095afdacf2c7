"""A discriminator with its own optimiser, and the loss term that it provides."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tandem.adversarial.objectives import Objective
from tandem.data.batch import MISSING_PIXEL
from tandem.errors import ConfigError
from tandem.losses.schedule import read_weight


class Adversary(nn.Module):
    """Learns to distinguish true from predicted masks, given the image; fooling it is a term of the network's loss.

    Both sides take turns on each batch: the network takes its step against a constant discriminator, then the
    discriminator takes `steps` steps on the same images, with the masks that were predicted before the network's step.
    It has its own optimiser and computes in float32 under mixed precision. Pixels without a target are 0 in the true
    and in the predicted mask, so that they carry no information and have no gradient; the task leaves out images
    without any target.

    Weights and optimiser are in the checkpoint, in plain containers. The first weights are drawn without changing the
    random state, so that a run with an adversary starts with the same network as a run without.

    Args:
        objective: what both sides minimise.
        discriminator: makes a module for a number of channels, those of image and mask together; it gives one score
            for each patch, (N, 1, h, w).
        optimizer: parameters to an optimiser.
        weight: of the term; a number, at least 0, or a schedule over the epochs (see `read_weight`).
        steps: of the discriminator in each training step, at least 1; with gradients accumulated over several batches,
            in each batch.

    Attributes:
        weight: of the term in the current epoch.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(
        self,
        objective: Objective,
        discriminator: Callable[[int], nn.Module],
        optimizer: Callable[[Any], torch.optim.Optimizer],
        weight: float | Mapping[str, float] = 0.01,
        steps: int = 1,
    ) -> None:
        super().__init__()
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ConfigError(f"steps is {steps!r}, but must be a whole number of at least 1")
        self.objective = objective
        self.make_discriminator = discriminator
        self.make_optimizer = optimizer
        self.schedule = read_weight("weight", weight)
        if not self.schedule.first and not self.schedule.last:
            raise ConfigError("weight = 0 would leave the adversary unused; give one above 0, or remove the adversary")
        self.weight = self.schedule.at(0)
        self.steps = steps
        self.discriminator: nn.Module = nn.Identity()
        self._optimizer: torch.optim.Optimizer | None = None
        self._kept: dict[str, Any] = {}  # an optimiser's state, until its parameters are on their device

    def attach(self, channels: int) -> None:
        """Build the discriminator for this number of channels, of image and mask together."""
        with torch.random.fork_rng(devices=[]):
            made = self.make_discriminator(channels)
            self.make_optimizer([nn.Parameter(torch.zeros(1, 1))])  # to reject a bad value now
        self.discriminator = made.requires_grad_(False)

    def set_epoch(self, epoch: int) -> None:
        """Set the weight to its value at an epoch, counted from 0."""
        self.weight = self.schedule.at(epoch)

    def term(self, image: Tensor, logits: Tensor, mask: Tensor) -> Tensor:
        """The network's term of the loss, without its weight; its gradient reaches the logits alone.

        Args:
            image: (N, C, H, W) in [0, 1].
            logits: (N, K, H, W), any floating dtype; may be NaN where the mask is 255.
            mask: of the shape of the logits, with 0, 1 and 255.

        Returns:
            A scalar.

        Raises:
            ConfigError: several devices, or a discriminator in half precision.
        """
        self._check()
        with torch.autocast(logits.device.type, enabled=False):
            known = mask != MISSING_PIXEL
            predicted = torch.where(known, torch.sigmoid(torch.where(known, logits.to(self._dtype), 0.0)), 0.0)
            return self.objective.network(self._score(image, predicted))

    def learn(self, image: Tensor, predicted: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Takes the discriminator's steps.

        Args:
            image: (N, C, H, W) in [0, 1].
            predicted: (N, K, H, W) probabilities, without gradient.
            mask: of the same shape, with 0, 1 and 255.

        Returns:
            Of the last step, before it was taken: `d_loss`, what the discriminator minimises, and `d_accuracy`, the
            share of patches in which the true mask has a higher score than the predicted one, in [0, 1]; at 0.5 and
            below it cannot distinguish them.
        """
        known = mask != MISSING_PIXEL
        true = torch.where(known, mask, 0).to(self._dtype)
        predicted = torch.where(known, predicted.detach().to(self._dtype), 0.0)
        optimizer = self._prepared()
        self.discriminator.requires_grad_(True)
        try:
            for _ in range(self.steps):
                values = self._step(optimizer, image, true, predicted)
        finally:
            self.discriminator.requires_grad_(False)
        return values

    def _step(
        self, optimizer: torch.optim.Optimizer, image: Tensor, true: Tensor, predicted: Tensor
    ) -> dict[str, Tensor]:
        both = self._score(torch.cat([image, image]), torch.cat([true, predicted]))
        scores = both.chunk(2)
        loss = self.objective.discriminator(*scores)
        loss = loss + self.objective.penalty(lambda mask: self._score(image, mask), true, predicted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        return {"d_loss": loss.detach(), "d_accuracy": (scores[0] > scores[1]).float().mean()}

    def _score(self, image: Tensor, mask: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(torch.cat([image.to(self._dtype), mask], dim=1))
        return scores

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.discriminator.parameters()).dtype

    def _prepared(self) -> torch.optim.Optimizer:
        """The optimiser, made at the first step, when the parameters are on their final device."""
        if self._optimizer is None:
            self._optimizer = self.make_optimizer(self.discriminator.parameters())
            if self._kept:
                self._optimizer.load_state_dict(self._kept)
        return self._optimizer

    def _check(self) -> None:
        fix = "or choose adversary@tasks.<task>.adversary=none"
        started = torch.distributed.is_available() and torch.distributed.is_initialized()
        if started and torch.distributed.get_world_size() > 1:
            raise ConfigError(f"an adversary learns on one device only; set trainer.devices=1, {fix}")
        if self._dtype in (torch.float16, torch.bfloat16):
            raise ConfigError(
                f"an adversary does not learn with weights in half precision; set trainer.precision=bf16-mixed, {fix}"
            )

    def get_extra_state(self) -> dict[str, Any]:
        """The optimiser's state, for the checkpoint."""
        return self._kept if self._optimizer is None else self._optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Keep an optimiser's state until the optimiser is made."""
        self._kept = state
        self._optimizer = None
