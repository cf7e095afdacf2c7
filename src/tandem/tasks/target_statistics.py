"""Computes from the training targets what a task needs before training: data-dependent loss options and biases."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.losses.data_dependent import resolve
from tandem.tasks.kinds import Kind

CHUNK = 64
"""Number of rows read at a time, so that large masks are not copied as a whole."""


class Counted(Protocol):
    """The parts of a task that this module uses."""

    name: str
    loss: nn.Module
    head: nn.Module

    @property
    def target_kind(self) -> Kind:
        """The kind of the task's target."""

    @property
    def channels(self) -> int:
        """Number of logits per row or pixel."""

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the channels."""

    def read_target(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Returns the task's target in a batch."""

    def labelled(self, target: Tensor) -> Tensor:
        """Returns (N,) bool: which rows have a target."""


def count_answers(task: Counted, samples: Samples) -> Tensor:
    """Counts how often each answer occurs among the known targets of a split; -100 and 255 are ignored.

    Args:
        task: a task whose kind is countable.
        samples: the split.

    Returns:
        int64: (C, 2) counts of no and yes per channel for a binary task, (C,) counts per class for a multiclass task.

    Raises:
        ConfigError: if the kind is not countable.
        DataError: if no target is known.
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
        raise DataError(f"no training image has a target for task '{task.name}', so its answers cannot be counted")
    return total


def has_target(task: Counted, samples: Samples) -> bool:
    """Returns whether any row of a split has a target for a task."""
    for start in range(0, len(samples), CHUNK):
        target = task.read_target(samples.targets(range(start, min(start + CHUNK, len(samples)))))
        if target is not None and bool(task.labelled(target).any()):
            return True
    return False


def resolve_loss(task: Counted, counts: Tensor) -> dict[str, float]:
    """Computes every data-dependent option of a task's loss (see `tandem.losses.data_dependent`).

    Args:
        task: a task with its loss.
        counts: the result of `count_answers`.

    Returns:
        The computed values, by dotted name below the task.

    Raises:
        DataError: if an answer never occurs.
    """
    try:
        found = resolve(task.loss, counts, task.class_names)
    except DataError as error:
        raise DataError(f"tasks.{task.name}.loss.{error}") from error
    return {f"loss.{key}": value for key, value in found.items()}


def set_prior_bias(task: Counted, counts: Tensor | None, share: float | None = None) -> dict[str, float]:
    r"""Sets the bias of the last layer so that an untrained head predicts the prior probability.

    For a yes/no question with the share \(\pi\) of yes, \(b = -\log((1 - \pi) / \pi)\); for classes with the shares
    \(\pi_c\), \(b_c = \log \pi_c\). The first steps then need not learn that lesions are rare.

    Args:
        task: a task whose head has a last layer called `logits`.
        counts: the result of `count_answers`; not needed if a share is given.
        share: \(\pi\) for every channel of a binary task, in (0, 1).

    Returns:
        The shares and biases by name.

    Raises:
        ConfigError: if the head has no such layer.
        DataError: if an answer never occurs, since its bias would be infinite.

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
    """Validates `prior_bias` for a kind of target.

    Args:
        value: the configured value.
        kind: of the task's target; binary kinds also accept a share.

    Raises:
        ConfigError: if the value is not false, true or, where the kind accepts a share, a number in (0, 1); or if it
            is not false and the kind is not countable.
    """
    if value is not False and not kind.countable:
        raise ConfigError(
            f"prior_bias is {value!r}, but must be false: the answers of a {kind.name} task cannot be counted"
        )
    if isinstance(value, bool):
        return value
    if not kind.given_share:
        raise ConfigError(f"prior_bias is {value!r}, but must be true or false: the shares of the classes are counted")
    if not isinstance(value, int | float) or not 0 < value < 1:
        raise ConfigError(f"prior_bias is {value!r}, but must be true, false or the share of yes, in (0, 1)")
    return float(value)


def _shares(task: Counted, counts: Tensor | None) -> Sequence[float]:
    assert counts is not None
    for row, name in zip(counts.view(len(counts), -1), task.class_names, strict=True):
        if not row.all():
            what = task.target_kind.absent(row, name)
            raise DataError(f"tasks.{task.name}.prior_bias: no training target is {what}; set it to false or a share")
    found: list[float] = task.target_kind.prior(counts).tolist()
    return found
