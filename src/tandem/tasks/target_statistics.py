"""What a task takes from the training targets before it starts: open knobs of its loss, the bias of its last layer."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.losses.data_dependent import resolve
from tandem.tasks.kinds import Kind

CHUNK = 64
"""Rows whose targets are looked at in one go, so that large masks need no second copy."""


class Counted(Protocol):
    """What is read of a task here."""

    name: str
    loss: nn.Module
    head: nn.Module

    @property
    def target_kind(self) -> Kind:
        """What tasks of its kind do."""

    @property
    def channels(self) -> int:
        """Logits for one row or pixel."""

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the channels."""

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """The task's target in a batch."""

    def labelled(self, target: Tensor) -> Tensor:
        """(N,) bool: which rows carry a target."""


def count_answers(task: Counted, samples: Samples) -> Tensor:
    """How often each answer occurs among the known targets of a split; -100 and 255 count nowhere.

    Args:
        task: of a kind whose answers can be counted.
        samples: the split.

    Returns:
        int64, (C, 2) with no and yes for each channel of a binary task, (C,) for the classes of a multiclass one.

    Raises:
        ConfigError: a task of another kind.
        DataError: no target is known.
    """
    if not task.target_kind.countable:
        raise ConfigError(f"the answers of task '{task.name}' cannot be counted: it is a {task.target_kind.name} task")
    total: Tensor | None = None
    for start in range(0, len(samples), CHUNK):
        target = task.read_target(samples.targets(range(start, min(start + CHUNK, len(samples)))))
        if target is not None:
            counts = task.target_kind.count(target, task.channels)
            total = counts if total is None else total + counts
    if total is None or not total.any():
        raise DataError(f"no training picture has a target for task '{task.name}', so its answers cannot be counted")
    return total


def has_target(task: Counted, samples: Samples) -> bool:
    """Whether any row of a split has a target for a task."""
    for start in range(0, len(samples), CHUNK):
        target = task.read_target(samples.targets(range(start, min(start + CHUNK, len(samples)))))
        if target is not None and bool(task.labelled(target).any()):
            return True
    return False


def resolve_loss(task: Counted, counts: Tensor) -> dict[str, float]:
    """Settles every open knob of a task's loss (see `tandem.losses.data_dependent`).

    Args:
        task: with its loss.
        counts: as `count_answers` gives them.

    Returns:
        What was computed, by dotted name below the task.

    Raises:
        DataError: an answer that never occurs.
    """
    try:
        found = resolve(task.loss, counts, task.class_names)
    except DataError as error:
        raise DataError(f"tasks.{task.name}.loss.{error}") from error
    return {f"loss.{key}": value for key, value in found.items()}


def set_prior_bias(task: Counted, counts: Tensor | None, share: float | None = None) -> dict[str, float]:
    r"""Sets the bias of the last layer so that an untrained head answers with the prior probability.

    For a yes/no question with the share \(\pi\) of yes, \(b = -\log((1 - \pi) / \pi)\); for classes with the shares
    \(\pi_c\), \(b_c = \log \pi_c\). So the first steps are not spent on learning that lesions are rare.

    Args:
        task: with its head, whose last layer is called `logits`.
        counts: as `count_answers` gives them; not needed where a share is given.
        share: \(\pi\) for each channel of a binary task, inside (0, 1).

    Returns:
        The shares and biases by name.

    Raises:
        ConfigError: a head without such a layer.
        DataError: an answer that never occurs, whose bias would be infinite.

    Source: Lin et al., Focal Loss for Dense Object Detection (RetinaNet), 2017, section 4.1.
    """
    layer = getattr(task.head, "logits", None)
    bias = getattr(layer, "bias", None)
    if not isinstance(bias, nn.Parameter) or bias.shape != (task.channels,):
        raise ConfigError(
            f"tasks.{task.name}.prior_bias needs a head whose last layer, with a bias, is called `logits`"
        )
    shares = [share] * task.channels if share is not None else _shares(task, counts)
    values = [task.target_kind.bias(pi) for pi in shares]
    with torch.no_grad():
        bias.copy_(torch.tensor(values))
    found: dict[str, float] = {}
    for name, pi, value in zip(task.class_names, shares, values, strict=True):
        label = f".{name}" if task.channels > 1 else ""
        found |= {f"prior{label}": pi, f"bias{label}": value}
    return found


def check_prior_bias(value: bool | float, kind: Kind) -> bool | float:
    """Refuses a value of `prior_bias` that means nothing.

    Args:
        value: what the user gave.
        kind: of the task's target; yes/no questions may be given a share.

    Raises:
        ConfigError: anything but false, true or, where it may be given, a number inside (0, 1); anything but false
            where answers cannot be counted.
    """
    if value is not False and not kind.countable:
        raise ConfigError(
            f"prior_bias is {value!r}, but must be false: the answers of a {kind.name} task have no share"
        )
    if isinstance(value, bool):
        return value
    if not kind.given_share:
        raise ConfigError(f"prior_bias is {value!r}, but must be true or false: the classes' shares are counted")
    if not isinstance(value, int | float) or not 0 < value < 1:
        raise ConfigError(f"prior_bias is {value!r}, but must be true, false or the share of yes, inside (0, 1)")
    return float(value)


def _shares(task: Counted, counts: Tensor | None) -> Sequence[float]:
    assert counts is not None
    for row, name in zip(counts.view(len(counts), -1), task.class_names, strict=True):
        if not row.all():
            what = task.target_kind.absent(row, name)
            raise DataError(f"tasks.{task.name}.prior_bias: no training target is {what}; set it to false or a share")
    found: list[float] = task.target_kind.prior(counts).tolist()
    return found
