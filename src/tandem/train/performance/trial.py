"""Steps of a copy of the network on one batch, with other settings: their seconds, losses and gradients."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf, nan
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import Tensor

from tandem.module import MultiTaskModule
from tandem.network.protocol import begin_epoch
from tandem.runs.performance import Computing, set_layout, threads_set
from tandem.train.performance.choose import TURNS, Difference, Times, relative

if TYPE_CHECKING:
    from pytorch_lightning.plugins import Precision

SEED = 0
"""Of random numbers within a step."""

MOST_TURNS = 15
"""Steps of a setting after which its median is taken."""

DROPS = ("Dropout", "DropPath", "DropBlock")
"""Layers that draw other numbers where precision or layout differ; differences are measured without them."""


class Trial:
    """A copy of a module with one setting; the module itself is not changed.

    Args:
        module: untrained.
        batch: rows of the training split.
        setting: how the copy computes.
        plugin: Lightning's part for the setting's precision.
        optimizer: makes the setting's optimiser from named parameters.
        device: where it computes.
    """

    def __init__(
        self,
        module: MultiTaskModule,
        batch: Mapping[str, Any],
        setting: Computing,
        plugin: "Precision",
        optimizer: Callable[[Any], torch.optim.Optimizer],
        device: torch.device,
    ) -> None:
        self.setting, self.plugin, self.device = setting, plugin, device
        self.module = copy.deepcopy(module).to(device).train()
        plugin.convert_module(self.module)
        self.module.begin_epoch(0)
        begin_epoch(self.module.network, 0)  # which freezes what an option says
        set_layout(self.module, setting.channels_last)
        self.batch = move_data_to_device(plugin.convert_input(dict(batch)), device)
        self.optimizer = optimizer(self.module.named_parameters())

    def losses(self) -> dict[str, Tensor]:
        """The loss of each task that has a target in the batch."""
        torch.manual_seed(SEED)
        with self.plugin.forward_context():
            logits = self.module(self.batch["image"])
            outputs = {name: task.answer(logits[name], self.batch) for name, task in self.module.tasks.items()}
            return {name: output.loss for name, output in outputs.items() if output is not None}

    def step(self) -> None:
        """Forward, backward and one step of the optimiser."""
        with threads_set(self.setting.threads):
            self.optimizer.zero_grad()
            total(self.losses()).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)

    def gradient(self) -> tuple[dict[str, float], list[Tensor | None]]:
        """The losses, and the gradient of their sum; weights and buffers are those of the copy before any step."""
        drops = [part for part in self.module.modules() if part.training and type(part).__name__.startswith(DROPS)]
        for part in drops:
            part.eval()
        losses = self.losses()
        weights = [weight for weight in self.module.parameters() if weight.requires_grad]
        found = torch.autograd.grad(total(losses), weights, allow_unused=True)
        for part in drops:
            part.train()
        return {name: float(loss.detach()) for name, loss in losses.items()}, list(found)


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum of the losses."""
    return torch.stack([loss.float() if loss.dtype != torch.float64 else loss for loss in losses.values()]).sum()


def difference(
    one: tuple[Mapping[str, float], Sequence[Tensor | None]],
    other: tuple[Mapping[str, float], Sequence[Tensor | None]],
) -> Difference:
    """Relative differences of losses and gradients, summed in float64.

    Args:
        one: losses by task and the gradient, of the reference.
        other: those of a setting.
    """
    losses = [relative(other[0][name], value) if value == value else nan for name, value in one[0].items()]
    apart = size = 0.0
    for here, there in zip(one[1], other[1], strict=True):
        if here is None and there is None:
            continue
        a, b = (torch.zeros(1) if each is None else each.detach().double().cpu() for each in (here, there))
        apart += float((a - b).square().sum())
        size += float(a.square().sum())
    gradient = apart**0.5 / size**0.5 if size else (0.0 if not apart else inf)
    return Difference(nan if any(value != value for value in losses) else max(losses), gradient)


def in_turns(
    steps: Mapping[Computing, Callable[[], None]], limit: float, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Seconds of each setting's steps, one of each in a turn, so that what else the machine does meets all alike.

    The first step of each is not counted. A turn begins only if the longest one so far would end in time.

    Args:
        steps: by setting.
        limit: time of the clock at which measuring has to have ended.
        clock: gives the time in seconds.
    """
    found: dict[Computing, list[float]] = {setting: [] for setting in steps}
    longest = 0.0
    for turn in range(MOST_TURNS + 1):
        begun = clock()
        if turn and begun + longest * (TURNS if turn == 1 else 1) > limit:
            break
        for setting, step in steps.items():
            before = clock()
            step()
            if turn:
                found[setting].append(clock() - before)
        longest = max(longest if turn > 1 else 0.0, clock() - begun)
    return found
