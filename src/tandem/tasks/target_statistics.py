"""What a task takes from the training targets before it starts: open knobs of its loss, the bias of its last layer."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tandem.data.batch import MISSING_PIXEL
from tandem.data.samples import Samples
from tandem.errors import ConfigError, DataError
from tandem.losses.data_dependent import resolve

if TYPE_CHECKING:
    from tandem.tasks.task import Task

CHUNK = 64
"""Rows whose targets are looked at in one go, so that large masks need no second copy."""


def count_answers(task: "Task", samples: Samples) -> Tensor:
    """How often each answer occurs among the known targets of a split; -100 and 255 count nowhere.

    Args:
        task: of the kind `binary` or `multiclass`.
        samples: the split.

    Returns:
        int64, (C, 2) with no and yes for each channel of a binary task, (C,) for the classes of a multiclass one.

    Raises:
        ConfigError: a task of another kind.
        DataError: no target is known.
    """
    count = {"binary": _yes_and_no, "multiclass": _each_class}.get(task.kind)
    if count is None:
        raise ConfigError(f"the answers of task '{task.name}' cannot be counted: it is a {task.kind} task")
    total = torch.zeros((task.channels, 2) if task.kind == "binary" else task.channels, dtype=torch.int64)
    for start in range(0, len(samples), CHUNK):
        target = task.read_target(samples.targets(range(start, min(start + CHUNK, len(samples)))))
        if target is not None:
            total += count(target, task.channels)
    if not total.any():
        raise DataError(f"no training picture has a target for task '{task.name}', so its answers cannot be counted")
    return total


def has_target(task: "Task", samples: Samples) -> bool:
    """Whether any row of a split has a target for a task."""
    for start in range(0, len(samples), CHUNK):
        target = task.read_target(samples.targets(range(start, min(start + CHUNK, len(samples)))))
        if target is not None and bool(task.labelled(target).any()):
            return True
    return False


def resolve_loss(task: "Task", counts: Tensor) -> dict[str, float]:
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


def set_prior_bias(task: "Task", counts: Tensor | None, share: float | None = None) -> dict[str, float]:
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
    binary = task.kind == "binary"
    values = [math.log(pi / (1 - pi)) if binary else math.log(pi) for pi in shares]
    with torch.no_grad():
        bias.copy_(torch.tensor(values))
    found: dict[str, float] = {}
    for name, pi, value in zip(task.class_names, shares, values, strict=True):
        label = f".{name}" if task.channels > 1 else ""
        found |= {f"prior{label}": pi, f"bias{label}": value}
    return found


def check_prior_bias(value: bool | float, shares: bool) -> bool | float:
    """Refuses a setting of `prior_bias` that means nothing.

    Args:
        value: what the user gave.
        shares: whether a share may be given, as it may for yes/no questions.

    Raises:
        ConfigError: anything but false, true or, where it may be given, a number inside (0, 1).
    """
    if isinstance(value, bool):
        return value
    if not shares:
        raise ConfigError(f"prior_bias is {value!r}, but must be true or false: the classes' shares are counted")
    if not isinstance(value, int | float) or not 0 < value < 1:
        raise ConfigError(f"prior_bias is {value!r}, but must be true, false or the share of yes, inside (0, 1)")
    return float(value)


def _shares(task: "Task", counts: Tensor | None) -> Sequence[float]:
    assert counts is not None
    for row, name in zip(counts.view(len(counts), -1), task.class_names, strict=True):
        if not row.all():
            what = f"class '{name}'" if task.kind == "multiclass" else f"{'background' if row[1] else 'foreground'}"
            raise DataError(f"tasks.{task.name}.prior_bias: no training target is {what}; set it to false or a share")
    exact = counts.double()
    found: list[float] = (exact[:, 1] / exact.sum(1) if task.kind == "binary" else exact / exact.sum()).tolist()
    return found


def _yes_and_no(target: Tensor, channels: int) -> Tensor:
    of_channel = target.reshape(len(target), channels, -1)
    yes = (of_channel == 1).sum((0, 2))
    known = (of_channel != MISSING_PIXEL).sum((0, 2))
    return torch.stack([known - yes, yes], dim=1)


def _each_class(target: Tensor, channels: int) -> Tensor:
    values = target.flatten().long()
    return torch.bincount(values[(values >= 0) & (values < channels)], minlength=channels)
